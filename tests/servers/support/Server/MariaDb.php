<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;

/** A MariaDB server without passwords at a socket, in a temporary folder of its own. */
final class MariaDb
{
    public readonly string $socket;
    private readonly TempFolder $folder;
    private readonly Process $process;

    public function __construct()
    {
        $this->folder = new TempFolder();
        $path = $this->folder->path;
        $this->socket = "$path/mariadb.sock";
        // Without root it runs as who runs the tests, and needs no such option.
        $common = ['--no-defaults', "--datadir=$path/data", ...(posix_geteuid() === 0 ? ['--user=root'] : [])];
        $install = new Process(
            ['mariadb-install-db', ...$common, '--auth-root-authentication-method=normal', '--skip-test-db'],
            "$path/install.out",
            [],
            $path,
            'mariadb-install-db',
        );
        $install->awaitExit(60.0);
        $this->process = new Process(
            ['mariadbd', ...$common, "--socket=$this->socket", '--skip-networking', '--skip-grant-tables'],
            "$path/mariadb.out",
            [],
            $path,
            'mariadbd',
        );
        $listens = fn (): bool => Port::isOpenToAll($this->socket);
        $said = fn (): string => $install->output() . $this->process->output();
        Deadline::until($listens, 30.0, 'MariaDB listens', $said);
    }

    public function stop(): void
    {
        $this->process->stop();
        $this->folder->remove();
    }
}
