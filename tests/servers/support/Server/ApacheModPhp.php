<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Proc;

/**
 * Apache prefork with PHP inside, two processes. Options: 'tls' => 1: HTTPS, where no hand-off is possible; 'load' =>
 * 'filter,brotli': more of Apache's modules; 'directives': what they are to do.
 */
final class ApacheModPhp extends Server
{
    private Process $apache;

    public function scheme(): string
    {
        return ($this->options['tls'] ?? 0) ? 'https' : 'http';
    }

    protected function launch(): void
    {
        $path = $this->folder->path;
        $module = Php::apacheModule();
        $tls = $this->scheme() === 'https' ? Apache::tls($this) : '';
        $more = array_filter(explode(',', (string) ($this->options['load'] ?? '')));
        $directives = (string) ($this->options['directives'] ?? '');
        $file = $this->folder->file('apache.conf', Apache::configuration(
            $this,
            ['mpm_prefork', 'authz_core', 'mime', ...($tls === '' ? [] : ['ssl']), ...$more],
            <<<CONF
            LoadModule php_module $module
            PHPIniDir "$path"
            ServerLimit 2
            MaxRequestWorkers 2
            StartServers 2
            MinSpareServers 2
            MaxSpareServers 2
            TypesConfig /dev/null
            $tls
            $directives
            <FilesMatch "\.php$">
                SetHandler application/x-httpd-php
            </FilesMatch>
            CONF,
        ));
        $this->apache = $this->run('apache', Apache::command($path, $file));
    }

    public function workers(): array
    {
        return array_values(array_filter(
            Proc::children($this->apache->pid),
            static fn (int $pid): bool => !Proc::isHub($pid),
        ));
    }

    public function owner(): Process
    {
        return $this->apache;
    }
}
