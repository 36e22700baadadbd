"""What a job is given: inputs read from anything, bound to the UDF's parameters, coerced and checked."""

from fanfold.inputs.arguments import decode_arguments
from fanfold.inputs.reading import read
from fanfold.inputs.signature import Signature, sender
from fanfold.inputs.validation import validated

__all__ = ["Signature", "decode_arguments", "read", "sender", "validated"]
