"""Staff: hired with a role, logged in with a password and a second factor, turned away when wrong."""

from mall.staff.failures import CODE_WINDOW, WRONG_CODES, fail, failures
from mall.staff.hiring import (
    change,
    hire,
    hire_with_key,
    remove_second_factor,
    reset_password,
    roster,
    view,
)
from mall.staff.log_in import log_in
from mall.staff.passwords import change_password
from mall.staff.roles import OFFICE_ROLES, READING_ROLES, ROLES, TILL_ROLES
from mall.staff.second_factor import begin as begin_second_factor
from mall.staff.second_factor import confirm as confirm_second_factor
from mall.staff.second_factor import remove as remove_own_second_factor
from mall.staff.second_factor import reseal as reseal_second_factors
from mall.staff.sessions import SESSION_LASTS, end, end_all, of_token
from mall.staff.standing import check_ready, id_of, own_view, store_of

__all__ = [
    "CODE_WINDOW",
    "OFFICE_ROLES",
    "READING_ROLES",
    "ROLES",
    "SESSION_LASTS",
    "TILL_ROLES",
    "WRONG_CODES",
    "begin_second_factor",
    "change",
    "change_password",
    "check_ready",
    "confirm_second_factor",
    "end",
    "end_all",
    "fail",
    "failures",
    "hire",
    "hire_with_key",
    "id_of",
    "log_in",
    "of_token",
    "own_view",
    "remove_own_second_factor",
    "remove_second_factor",
    "reseal_second_factors",
    "reset_password",
    "roster",
    "store_of",
    "view",
]
