"""The grammar of the query string: select, filters, logic, order. Text in, frozen values out."""
