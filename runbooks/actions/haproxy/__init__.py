"""Actions that tell HAProxy which of its servers take traffic, over its runtime API; each reads back what it
did.

Source: HAProxy's management guide, chapter 9.3. The control socket needs `level admin`.
"""
