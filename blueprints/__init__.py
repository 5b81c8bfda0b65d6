"""Who asks, in what shape. The folder is the permission: shopper/, clerk/, admin/."""

from flask_smorest import Api


def register(api: Api) -> None:
    from blueprints import admin, auth, clerk, public, shopper, staff

    for bp in (auth.bp, staff.bp, public.bp, shopper.bp, clerk.bp, admin.bp):
        api.register_blueprint(bp)
