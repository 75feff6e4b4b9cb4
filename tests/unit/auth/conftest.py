"""Keys, and tokens made with them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from streamer.testing import ManualClock, RecordingLogger

SECRET = "a secret of more than thirty-two bytes"


@dataclass
class Ring:
    """One key of each kind, in every form."""

    private: dict[str, Any] = field(
        default_factory=lambda: {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
    )
    secret: str = SECRET

    def pem(self, algorithm: str) -> str:
        public = self.private[algorithm].public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def private_pem(self, algorithm: str) -> str:
        return self.private[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def jwk(self, algorithm: str, **more: Any) -> dict[str, Any]:
        maker = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[algorithm]
        return {**maker.to_jwk(self.private[algorithm].public_key(), as_dict=True), **more}

    def jwks(self, *algorithms: str) -> bytes:
        return json.dumps({"keys": [self.jwk(one, kid=one) for one in algorithms]}).encode()

    def token(self, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of alice, good for an hour of the manual clock unless told otherwise; None takes a claim away."""
        made = {"sub": "alice", "exp": ManualClock().now() + 3600, **claims}
        made = {name: value for name, value in made.items() if value is not None}
        key = self.secret if algorithm == "HS256" else self.private[algorithm]
        return jwt.encode(made, key, algorithm=algorithm, headers=headers)


@pytest.fixture(scope="session")
def ring() -> Ring:
    return Ring()


@pytest.fixture(scope="session")
def other_ring() -> Ring:
    return Ring(secret="another secret of more than thirty-two bytes")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log() -> RecordingLogger:
    return RecordingLogger()
