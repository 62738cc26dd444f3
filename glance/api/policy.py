"""The rules that several resources name, and how an image is loaded to be checked against them."""

from glance.registry.interface import Image
from strata.rest import Request, Rule

OWNER = 'role:admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)'
OF_OWNER = 'role:admin or (role:member and project_id:%(project_id)s)'
READER = ('role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s or '
          '"community":%(visibility)s or "public":%(visibility)s or "shared":%(visibility)s))')

ADMIN = Rule('context_is_admin', 'role:admin', 'Who sees all images and may do everything.')
ADD = Rule('add_image', OWNER, 'Create an image.')
DELETE = Rule('delete_image', OF_OWNER, 'Delete an image.')
GET = Rule('get_image', READER, 'Show an image.')
LIST = Rule('get_images', 'role:admin or (role:reader and project_id:%(project_id)s)', 'List images.')
MODIFY = Rule('modify_image', OF_OWNER, 'Change an image or its tags.')
PUBLICIZE = Rule('publicize_image', 'role:admin', 'Make an image public.')
COMMUNITIZE = Rule('communitize_image', OF_OWNER, 'Make an image a community image.')
DOWNLOAD = Rule('download_image', READER, 'Have the data of an image.')
UPLOAD = Rule('upload_image', OF_OWNER, 'Give an image its data.')
DEACTIVATE = Rule('deactivate', OF_OWNER, 'Give the data of an image out no longer.')
REACTIVATE = Rule('reactivate', OF_OWNER, 'Give the data of an image out again.')
MEMBER_ADD = Rule('add_member', OF_OWNER, 'Share an image.')
MEMBER_DELETE = Rule('delete_member', OF_OWNER, 'Share an image no longer.')
MEMBER_GET = Rule('get_member', 'role:admin or (role:reader and (project_id:%(project_id)s or '
                  'project_id:%(member_id)s))', 'Show a member of an image.')
MEMBER_LIST = Rule('get_members', MEMBER_GET.check, 'List the members of an image.')
MEMBER_MODIFY = Rule('modify_member', 'role:admin or (role:member and project_id:%(member_id)s)',
                     'Accept or reject an image.')
IMPORT_INFO = Rule('get_import_info', '', 'See what imports and stores there are.')

#: rules that no route names, for the policy
BESIDE = [ADMIN, PUBLICIZE, COMMUNITIZE]


def loaded(req: Request, id: str) -> Image:
    """The image of a request, after the endpoint's rule was checked against it.

    ``errors.NotFound`` if the caller may not know of it, ``errors.Forbidden``
    if it may, but may not do this.
    """
    image = req.wiring.registry.get(req.context, id.lower())
    req.enforce(image.target())
    return image
