<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** Apache with threads and mod_proxy_fcgi in front of php-fpm. */
final class ApacheFcgi extends FpmServer
{
    protected function launchFrontEnd(): void
    {
        $path = $this->folder->path;
        // Here every stream takes a thread of Apache's, though no worker of PHP's.
        $file = $this->folder->file('apache.conf', Apache::configuration(
            $this,
            ['mpm_event', 'authz_core', 'proxy', 'proxy_fcgi'],
            <<<CONF
            ServerLimit 4
            ThreadsPerChild 128
            ThreadLimit 128
            MaxRequestWorkers 512
            StartServers 4
            MinSpareThreads 128
            MaxSpareThreads 512
            <FilesMatch "\.php$">
                SetHandler "proxy:{$this->handler()}"
            </FilesMatch>
            <Proxy "{$this->proxied()}">
                ProxySet flushpackets=on
            </Proxy>
            CONF,
        ));
        $this->run('apache', Apache::command($path, $file));
    }

    private function handler(): string
    {
        return $this->pool->listen[0] === '/'
            ? "unix:{$this->pool->listen}|fcgi://localhost/"
            : "fcgi://{$this->pool->listen}/";
    }

    private function proxied(): string
    {
        return $this->handler();
    }
}
