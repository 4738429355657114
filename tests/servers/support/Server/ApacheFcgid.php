<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Proc;

/** Apache's mod_fcgid, which starts php-cgi itself, six of it. Option 'directives': more lines of Apache's configuration. */
final class ApacheFcgid extends Server
{
    private Process $apache;

    protected function launch(): void
    {
        $path = $this->folder->path;
        $program = Php::cgi();
        $directives = (string) ($this->options['directives'] ?? '');
        // Apache's user makes its sockets there.
        $sockets = $this->folder->folder('fcgid', 0700, Php::workerUser());
        $file = $this->folder->file('apache.conf', Apache::configuration(
            $this,
            ['mpm_event', 'authz_core', 'mime', 'fcgid'],
            <<<CONF
            TypesConfig /dev/null
            FcgidIPCDir "$sockets"
            FcgidProcessTableFile "$path/fcgid.shm"
            FcgidMaxProcesses 6
            FcgidInitialEnv PHPRC "$path"
            FcgidWrapper "$program" .php
            $directives
            <Directory "$path/app">
                Options +ExecCGI
                AddHandler fcgid-script .php
            </Directory>
            CONF,
        ));
        $this->apache = $this->run('apache', Apache::command($path, $file));
    }

    public function workers(): array
    {
        $found = [];
        foreach (Proc::children($this->apache->pid) as $child) {
            array_push($found, ...array_filter(
                Proc::children($child),
                static fn (int $pid): bool => str_contains(Proc::title($pid), 'php-cgi'),
            ));
        }

        return $found;
    }

    public function owner(): Process
    {
        return $this->apache;
    }
}
