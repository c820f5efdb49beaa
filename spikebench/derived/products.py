"""How many operations a product of two activations does, by rule; where tools disagree most, since few of them see it at all."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.derived.sites import Number, Site


def product_ops(site: Site, sites: Sequence[Site], rule: str) -> tuple[Number, Number]:
    """(MACs, ACs) of ``site`` under ``conventions.Rules.products``; ``sites`` are all rows, for rules that look at both
    products.
    """
    if rule == "none":
        return 0, 0
    if rule == "dense":
        return site.dense_macs, 0
    if rule == "binary":
        return _one_sided(site)
    if rule == "script":
        return 0, _script(site, sites)
    unit = site.events if site.unit_acs is None else site.unit_acs
    amount = {"both": site.events, "left": site.events_left, "right": site.events_right, "unit": unit}[rule]
    return (0, amount) if site.accumulates else (amount, 0)


def _one_sided(site: Site) -> tuple[Number, Number]:
    """SpikingJelly: both binary, the exact count; one binary, that side's; none, dense MACs. It does not see elementwise
    products.
    """
    if site.operation != "matmul":
        return 0, 0
    left, right = (kind == "binary" for kind in site.kinds)
    if left and right:
        return 0, site.events
    if left or right:
        return 0, site.events_left if left else site.events_right
    return site.dense_macs, 0


def _script(site: Site, sites: Sequence[Site]) -> Number:
    """T H N d^2 (min(rate of K, rate of V) + rate of Q), charged to the second of the two products; 0 for the first.

    Which operands are Q, K and V follows from the order: in (Q K^T) V the second product's left operand is the map, in Q (K^T
    V) it is Q. In the former V, on the right, is the binary one.
    """
    pair = [other for other in sites if other.scope == site.scope and other.operation == "matmul"]
    if len(pair) != 2 or site is not pair[1] or not all(other.dense_macs and other.output_elements for other in pair):
        return 0
    first, second = pair
    rates = [(other.events_left / other.dense_macs, other.events_right / other.dense_macs) for other in pair]
    query_first = second.kinds[0] != "binary"
    (rate_q, rate_k), rate_v = (rates[0], rates[1][1]) if query_first else ((rates[1][0], rates[0][0]), rates[0][1])
    elements = first.input_elements / 2  # T H N d, of each operand
    head_dim = first.dense_macs / (first.output_elements if query_first else elements)
    return elements * head_dim * (min(rate_k, rate_v) + rate_q)
