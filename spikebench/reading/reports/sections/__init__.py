"""Report sections, one question each. A file's ``Section`` has ``order``, ``title`` and, called with a frame, gives blocks; none
where the results have nothing to say on the question.
"""
