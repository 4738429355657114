<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/**
 * Caddy's php_fastcgi in front of php-fpm. Option 'tls' => 1: HTTPS, and HTTP/2 with it; 'redirect' => 1: Caddy fetches
 * streams with sse.detach=redirect.
 */
final class CaddyFpm extends FpmServer
{
    public function scheme(): string
    {
        return ($this->options['tls'] ?? 0) ? 'https' : 'http';
    }

    protected function launchFrontEnd(): void
    {
        $path = $this->folder->path;
        $fpm = $this->pool->listen[0] === '/' ? "unix/{$this->pool->listen}" : $this->pool->listen;
        $tls = '';
        if ($this->scheme() === 'https') {
            $certificate = new Certificate($this->folder);
            $tls = "tls {$certificate->file} {$certificate->key}";
        }
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
            {$this->url()} {
                bind 127.0.0.1
                $tls
                root * $path/app
                php_fastcgi $fpm {$this->redirect()}
            }

            CONF);
        $this->run('caddy', ['caddy', 'run', '--config', $file, '--adapter', 'caddyfile'], [
            'XDG_CONFIG_HOME' => "$path/caddy",
            'XDG_DATA_HOME' => "$path/caddy",
        ]);
    }

    private function redirect(): string
    {
        return ($this->options['redirect'] ?? 0) ? <<<CONF
            {
                    @sse header X-Accel-Redirect *
                    handle_response @sse {
                        rewrite * {rp.header.X-Accel-Redirect}
                        reverse_proxy unix/{$this->socket()}.http {
                            method GET
                        }
                    }
                }
            CONF : '';
    }
}
