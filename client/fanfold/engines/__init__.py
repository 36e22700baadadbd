"""Where runs execute: this machine, or an AWS deployment, behind one protocol."""
