"""The closed questions and answers between our processes.

``questions`` lists every question and who may ask it. What is asked: ``intents`` (of the ``wishes`` of nodes),
``clients``, ``signatures``, ``health``, ``chain``, ``admin``; ``answers`` are what any of them may get. ``records``
turns them into strict JSON and back; ``packets`` frames them on a Unix stream socket; ``peer`` says which uid is on the
other side. ``asker`` (asyncio, for gateway and chain) and ``blocking`` (for the command line) are the two ways to ask;
the signer, which only answers, imports neither.
"""
