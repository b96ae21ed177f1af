"""Members of a pool behind HAProxy: taken out of use when nobody is served by them any more, and put back."""
