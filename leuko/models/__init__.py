"""Networks: how they are built and cut, kept in folders, asked, explained and calibrated.

Importing it registers the networks that timm lacks with timm's own registry.
"""

from leuko.models import architectures, ensemble

__all__ = ["architectures", "ensemble"]
