"""What a client's JSON body asks for: pure, read by the gateway and, where a client signs its requests, by the signer.

| module       | bodies of                                                    |
|--------------|--------------------------------------------------------------|
| weights      | ``POST /wallet/set_weights``                                 |
| wishes       | the other calls of a hotkey                                  |
| signatures   | one signature at once: request, session, extrinsic, sign     |
| fields       | strict JSON: every field known, nothing coerced              |
"""
