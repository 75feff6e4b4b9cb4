"""An example plugin that does real work: reports, data cleaning, bulk operations and users.

`plugin` lists what it offers; every handler is a plain function in a module of the same name. Modules import each
other relatively, so that a copy of this folder works under another name.
"""
