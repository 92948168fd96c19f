"""GPT-1, GPT-2 and GPT-3 as one working system.

>>> import gptrilogy
>>> gptrilogy.__version__
'0.1.0'
"""

__version__ = "0.1.0"
