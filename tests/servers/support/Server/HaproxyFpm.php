<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Page;

/** HAProxy with the lines of the manual in front of php-fpm, without a web server in between. */
final class HaproxyFpm extends FpmServer
{
    protected function launchFrontEnd(): void
    {
        ['haproxy' => [$lines]] = Page::blocks('docs/operations/servers.md', 'HAProxy with PHP-FPM');
        $lines = str_replace('/var/www/html', "{$this->folder->path}/app", $lines);
        $listen = $this->pool->listen[0] === '/' ? "unix@{$this->pool->listen}" : $this->pool->listen;
        $file = $this->folder->file('haproxy.cfg', <<<CONF
            $lines

            frontend site
                bind 127.0.0.1:{$this->port}
                default_backend php

            backend php
                use-fcgi-app php-fpm
                server fpm $listen proto fcgi

            CONF);
        $this->run('haproxy', ['haproxy', '-db', '-f', $file]);
    }
}
