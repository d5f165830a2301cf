"""The closed questions and answers between our processes.

``questions`` lists every question, who may ask it and what comes back; ``records`` turns them into strict
JSON and back; ``packets`` frames them on a Unix stream socket; ``peer`` says which uid is on the other side.
``asker`` (asyncio, for gateway and chain) and ``blocking`` (for the command line) are the two ways to ask;
the signer, which only answers, imports neither.
"""
