// Sorting, filtering and choosing columns of tables. Without it the page reads the same, in the order of the suite.
"use strict";
(() => {
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // The number that a cell begins with, in its column's unit; NaN where there is none. Footnote marks are no part of it.
  const number = (cell) => {
    const bare = cell.cloneNode(true);
    bare.querySelectorAll("sup").forEach((mark) => mark.remove());
    return parseFloat(bare.textContent.replace(/,/g, "").replace(/\u2212/g, "-"));
  };

  const sorter = (table, index) => {
    const numeric = table.tHead.rows[0].cells[index].classList.contains("num");
    const key = (row) => (numeric ? number(row.cells[index]) : row.cells[index].textContent.trim());
    const missing = (value) => (numeric ? Number.isNaN(value) : value === "");
    return (direction) => {
      const rows = [...table.tBodies[0].rows].map((row) => [key(row), Number(row.dataset.place), row]);
      rows.sort(([a, i], [b, j]) => {
        // What has no value stands last, whichever way.
        if (missing(a) || missing(b)) return missing(a) - missing(b) || i - j;
        const order = numeric ? a - b : a.localeCompare(b, "en", { numeric: true });
        return direction * order || i - j;
      });
      table.tBodies[0].append(...(direction ? rows : rows.sort((a, b) => a[1] - b[1])).map(([, , row]) => row));
    };
  };

  const sortable = (table) => {
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      const sort = sorter(table, index);
      const button = element("button", { className: "sort", type: "button", title: "sort" });
      const words = [...head.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
      words.forEach((node) => button.append(node));
      head.prepend(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] || "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next !== "none") head.setAttribute("aria-sort", next);
        sort({ ascending: 1, descending: -1, none: 0 }[next]);
      });
    });
  };

  // Every word must be in the row; "T=4" asks the column T for exactly 4, "accuracy>90" compares numbers.
  const test = (heads, word) => {
    const [, name, sign, wanted] = word.match(/^([^=<>]+)([=<>])(.+)$/) || [];
    const index = heads.findIndex((head) => head === (name || "").toLowerCase());
    if (index < 0) return (row) => row.textContent.toLowerCase().includes(word);
    if (sign === "=") return (row) => row.cells[index].textContent.trim().toLowerCase() === wanted;
    return (row) => (sign === "<" ? number(row.cells[index]) < Number(wanted) : number(row.cells[index]) > Number(wanted));
  };

  const filter = (table, tools) => {
    const rows = [...table.tBodies[0].rows];
    const names = [...table.tHead.rows[0].cells].map((head) => (head.querySelector(".sort") || head).textContent.trim().toLowerCase());
    const input = element("input", { type: "search", placeholder: "filter: word, T=4, accuracy>90", size: 28 });
    input.setAttribute("aria-label", "filter rows");
    const count = element("span", { textContent: `${rows.length} rows` });
    count.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const tests = input.value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => test(names, word));
      let shown = 0;
      rows.forEach((row) => {
        row.hidden = !tests.every((accepts) => accepts(row));
        shown += !row.hidden;
      });
      count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    });
    tools.append(input, count);
  };

  const chooser = (table, tools) => {
    const heads = [...table.tHead.rows[0].cells];
    const boxes = heads.map((head, index) => {
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        [...table.rows].forEach((row) => { row.cells[index].style.display = box.checked ? "" : "none"; });
      });
      return element("label", {}, box, ` ${(head.querySelector(".sort") || head).textContent.trim()}`);
    });
    tools.append(element("details", {}, element("summary", { textContent: "columns" }), element("fieldset", {}, ...boxes)));
  };

  document.querySelectorAll("table").forEach((table) => {
    const rows = table.tBodies[0].rows.length;
    if (rows > 1) sortable(table);
    const tools = element("div", { className: "tools" });
    if (rows > 7 && table.querySelector("td.num")) filter(table, tools);
    if (rows > 1 && table.tHead.rows[0].cells.length > 5) chooser(table, tools);
    if (tools.childNodes.length) table.parentElement.before(tools);
  });

  document.querySelectorAll("sup a").forEach((mark) => {
    const note = document.getElementById(mark.getAttribute("href").slice(1));
    if (note) mark.title = note.textContent.slice(note.querySelector("b").textContent.length);
  });

  document.querySelectorAll("details.code").forEach((block) => {
    const text = block.querySelector("pre").textContent;
    const button = element("button", { type: "button", textContent: "copy" });
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(text).then(() => { button.textContent = "copied"; }, () => { button.textContent = "select it by hand"; });
    });
    block.querySelector("pre").before(button);
  });
})();
