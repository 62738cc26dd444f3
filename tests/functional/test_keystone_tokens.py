"""Tokens: how they are got, what they show, when they end."""


from tests.functional.keystone_cloud import HOST, PASSWORD, Queries, build, keystone, keystone_template  # noqa: F401

WRONG = {'error': {'code': 401, 'title': 'Unauthorized',
                   'message': 'The request you have made requires authentication.'}}


def test_a_password_opens_an_unscoped_token(keystone):  # noqa: F811
    answer = keystone.auth('admin', PASSWORD)
    token = answer.json['token']
    assert answer.status == 201
    assert set(token) == {'methods', 'audit_ids', 'expires_at', 'issued_at', 'user'}
    assert token['methods'] == ['password']
    assert token['user']['domain'] == {'id': 'default', 'name': 'Default'}
    assert len(answer.headers['x-subject-token']) < 255
    print(answer)
