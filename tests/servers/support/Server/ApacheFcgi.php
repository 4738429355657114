<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/**
 * Apache with threads and mod_proxy_fcgi in front of php-fpm. Options: 'flushpackets' => off: as distributions ship it; 'tls' => 1:
 * HTTPS; 'load' => 'http2,deflate': more of Apache's modules; 'directives': what they are to do.
 */
final class ApacheFcgi extends FpmServer
{
    public function scheme(): string
    {
        return ($this->options['tls'] ?? 0) ? 'https' : 'http';
    }

    protected function launchFrontEnd(): void
    {
        $path = $this->folder->path;
        $tls = $this->scheme() === 'https';
        $more = array_filter(explode(',', (string) ($this->options['load'] ?? '')));
        $directives = ($tls ? Apache::tls($this) : '') . "\n" . ($this->options['directives'] ?? '');
        // Here every stream takes a thread of Apache's, though no worker of PHP's.
        $file = $this->folder->file('apache.conf', Apache::configuration(
            $this,
            ['mpm_event', 'authz_core', 'proxy', 'proxy_fcgi', ...($tls ? ['ssl'] : []), ...$more],
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
                {$this->flush()}
            </Proxy>
            $directives
            CONF,
        ));
        $this->run('apache', Apache::command($path, $file));
    }

    private function flush(): string
    {
        return ($this->options['flushpackets'] ?? 'on') === 'on' ? 'ProxySet flushpackets=on' : 'ProxySet timeout=60';
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
