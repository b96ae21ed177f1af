"""What can be done for a service, by what it is made of: one file per engine, one table.

`controller.engines` says what an engine is; here stands how one of its services is moved and mended: who may
take over and what is proven of it, what its runbooks are told, how the loss is judged afterwards, and who has
to be brought back. Everything that acts asks this table, and never an engine by its name. Pure.
"""
