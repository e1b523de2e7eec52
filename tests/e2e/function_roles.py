"""Acting as a deployed function: by a twin of its role."""

import json
from collections.abc import Callable

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession


def act_as_function(
    act_as: Callable[[str | None], CloudSession], deployment: Deployment, function: str
) -> CloudSession:
    """A session with the policies of a function's role: the same document on a role that a person may take.

    The function's own role trusts Lambda alone, so that nobody can take it to try.
    """
    owner = act_as(None)
    iam = owner.client("iam")
    name = getattr(deployment.functions, function, None) or _find_function(owner, function)
    configuration = owner.client("lambda").get_function_configuration(FunctionName=name)
    role = configuration["Role"].rpartition("/")[2]
    twin = f"e2e-as-{function}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
        ],
    }
    if twin not in {each["RoleName"] for each in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=twin, AssumeRolePolicyDocument=json.dumps(trust))
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            text = document if isinstance(document, str) else json.dumps(document)
            iam.put_role_policy(RoleName=twin, PolicyName=policy, PolicyDocument=text)
    return act_as(f"arn:aws:iam::000000000000:role/{twin}")


def _find_function(owner: CloudSession, function: str) -> str:
    """The function's name, where the file of the deployment has no use for it."""
    resource = "".join(word.capitalize() for word in function.split("_"))
    functions = owner.client("lambda").list_functions()["Functions"]
    [name] = [each["FunctionName"] for each in functions if resource in each["FunctionName"]]
    return str(name)
