"""What a job is given: inputs read from anything, bound to the UDF's parameters, coerced and checked."""

from fanfold.inputs.reading import chunks, decode_arguments, read, scalar_sender, sender, validated
from fanfold.inputs.signature import Signature

__all__ = ["Signature", "chunks", "decode_arguments", "read", "scalar_sender", "sender", "validated"]
