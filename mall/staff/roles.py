"""The roles, by where they work."""

TILL_ROLES = ("clerk", "manager")  # bound to one store
OFFICE_ROLES = ("admin", "owner")  # they change what the shop is
READING_ROLES = ("analyst",)  # they look
ROLES = (*TILL_ROLES, *OFFICE_ROLES, *READING_ROLES)
CONSOLE_ROLES = (*OFFICE_ROLES, *READING_ROLES)
