"""An OpenID provider that says whatever a test wants, over real HTTP."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

KID = "the-key"


def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Forger:
    """`claims` override those of a right ID token; None leaves one out."""

    issuer: str = ""
    nonce: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: Any = field(default_factory=make_key)
    signing: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200

    def reset(self) -> None:
        self.claims, self.headers, self.metadata = {}, {}, {}
        self.algorithm, self.signing, self.token_status = "RS256", None, 200

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "subject-1",
            "aud": "our-client",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        signing = self.signing if self.signing is not None else self.key
        headers = {"kid": KID} | self.headers
        if self.algorithm == "none":
            signing = None
        return jwt.encode(claims, signing, self.algorithm, headers=headers)

    def answer(self, path: str) -> tuple[int, Any]:
        match path:
            case "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/jwks",
                } | self.metadata
            case "/jwks":
                public = jwt.get_algorithm_by_name("RS256").to_jwk(
                    self.key.public_key(), as_dict=True
                )
                return 200, {"keys": [public | {"kid": KID, "use": "sig", "alg": "RS256"}]}
            case "/token":
                token = {"access_token": "x", "token_type": "Bearer", "id_token": self.id_token()}
                refused = {"error": "invalid_grant", "error_description": "secret detail"}
                return self.token_status, token if self.token_status == 200 else refused
        return 404, {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        for line in head.lower().split("\r\n"):
            if line.startswith("content-length: "):
                await reader.readexactly(int(line.partition(": ")[2]))
        status, body = self.answer(head.split()[1])
        content = orjson.dumps(body)
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
        )
        writer.write(content)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
