"""An example plugin with realistic handlers: reports, data cleaning, bulk operations and users.

`plugin` lists the handlers; each is a plain function in a module with the same name. Modules import each other
relatively, so that a copy of this folder works under another name.
"""
