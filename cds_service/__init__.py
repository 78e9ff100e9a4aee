"""CDS Hooks service for the lungs of people with LAM and tuberous sclerosis complex."""

__version__ = "0.1.0"
