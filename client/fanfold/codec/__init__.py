"""Values to bytes and back, exactly, and never by pickle unless asked.

`encode` and `decode` carry results; `encode_json` and `decode_json` carry arguments and constants as text.
"""

from fanfold.codec.encoded import Encoded
from fanfold.codec.values import decode, decode_json, encode, encode_json

__all__ = ["Encoded", "decode", "decode_json", "encode", "encode_json"]
