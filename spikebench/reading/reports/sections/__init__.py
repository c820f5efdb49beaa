"""Report sections, one question each. A file's ``Section`` has ``order``, ``title`` and, called with a frame, gives blocks; none
where the results have nothing to say on the question.

``order``: its place in the report, smallest first, a number that no other section has. ``brief = True``: printed after every run;
of the others the tables with numbers are, where no brief section has one. ``trials = True``: sees all trials of a search, not
only those that were tested after it. What a frame has is told in
``reading/model/frame.py`` (``frame.groups``: a table's rows), means over seeds in ``reading/model/summary.py``, blocks in
``reading/reports/document.py``.
"""
