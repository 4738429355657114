<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** Caddy's php_fastcgi in front of php-fpm. */
final class CaddyFpm extends FpmServer
{
    protected function launchFrontEnd(): void
    {
        $path = $this->folder->path;
        $fpm = $this->pool->listen[0] === '/' ? "unix/{$this->pool->listen}" : $this->pool->listen;
        $file = $this->folder->file('Caddyfile', <<<CONF
            {
                admin off
                auto_https off
                storage file_system $path/caddy
                log {
                    output file $path/log/caddy.log
                    level WARN
                }
            }
            http://127.0.0.1:{$this->port} {
                bind 127.0.0.1
                root * $path/app
                php_fastcgi $fpm
            }

            CONF);
        $this->run('caddy', ['caddy', 'run', '--config', $file, '--adapter', 'caddyfile'], [
            'XDG_CONFIG_HOME' => "$path/caddy",
            'XDG_DATA_HOME' => "$path/caddy",
        ]);
    }
}
