"""An SFTP server for one user: sftp.py PORT FOLDER USER PASSWORD, with FOLDER as
its root. Its public key goes to FOLDER.pub."""

import asyncio
import sys

import asyncssh

port, folder, user, password = sys.argv[1:]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, given):
        return (username, given) == (user, password)


async def serve():
    key = asyncssh.generate_private_key("ssh-ed25519")
    with open(f"{folder}.pub", "wb") as file:
        file.write(key.export_public_key())
    await asyncssh.create_server(
        Server,
        "127.0.0.1",
        int(port),
        server_host_keys=[key],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=folder),
    )
    await asyncio.Event().wait()


asyncio.run(serve())
