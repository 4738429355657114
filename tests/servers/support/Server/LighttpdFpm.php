<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** lighttpd's mod_fastcgi in front of php-fpm. Option 'directives': more lines of its configuration. */
final class LighttpdFpm extends FpmServer
{
    protected function launchFrontEnd(): void
    {
        $path = $this->folder->path;
        $user = posix_geteuid() === 0
            ? 'server.username = "' . Php::workerUser() . "\"\nserver.groupname = \"" . Php::workerUser() . '"'
            : '';
        $listen = $this->pool->listen[0] === '/'
            ? "\"socket\" => \"{$this->pool->listen}\""
            : vsprintf('"host" => "%s", "port" => %s', explode(':', $this->pool->listen));
        $file = $this->folder->file('lighttpd.conf', <<<CONF
            server.modules = ("mod_fastcgi", "mod_accesslog")
            server.bind = "127.0.0.1"
            server.port = {$this->port}
            server.document-root = "$path/app"
            server.errorlog = "$path/log/lighttpd-error.log"
            accesslog.filename = "$path/log/lighttpd-access.log"
            server.upload-dirs = ("$path")
            server.max-connections = 1024
            $user
            fastcgi.server = (".php" => (($listen)))
            {$this->directives()}

            CONF);
        $this->run('lighttpd', ['lighttpd', '-D', '-f', $file]);
    }

    private function directives(): string
    {
        return (string) ($this->options['directives'] ?? '');
    }
}
