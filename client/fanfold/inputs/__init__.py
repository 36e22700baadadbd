"""What a job is given: inputs read from anything, bound to the UDF's parameters, coerced and checked."""

from fanfold.inputs.reading import chunks, read
from fanfold.inputs.sending import decode_arguments, sender
from fanfold.inputs.signature import Signature
from fanfold.inputs.validation import validated

__all__ = ["Signature", "chunks", "decode_arguments", "read", "sender", "validated"]
