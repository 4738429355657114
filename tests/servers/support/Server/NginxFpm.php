<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/**
 * nginx and php-fpm.
 *
 * Options: 'listen' => unix or tcp; 'keep' => 1 for fastcgi_keep_conn with a pool of connections;
 * 'user' => whom nginx's processes run as; 'bind' => the address that it connects to FPM from;
 * 'directive' => a line of the location beside fastcgi_pass;
 * 'http' => a line outside of the server's; 'main' => one outside of all;
 * 'locations' => more locations, in which {php} stands for what passes a request to FPM;
 * 'host' => 'debian': PHP gets the host without its port, as by Debian's fastcgi_params;
 * 'namespaces' => a|b: the paths /a/ and /b/ are sites of their own;
 * 'redirect' => 1: the location from which nginx fetches streams with sse.detach=redirect;
 * 'other' => see FpmPool: the path /other/ goes to that pool.
 */
final class NginxFpm extends FpmServer
{
    private string $file;
    private Process $nginx;

    /** Option 'streams' => 5000: so many of them at once; each is two connections of nginx. */
    private function connections(int $times = 1): int
    {
        return $times * max(4096, 2 * (int) ($this->options['streams'] ?? 0) + 1000);
    }

    protected function launchFrontEnd(): void
    {
        $path = $this->folder->path;
        $user = posix_geteuid() === 0 ? 'user ' . ($this->options['user'] ?? Php::workerUser()) . ';' : '';
        $keep = ($this->options['keep'] ?? 0) ? 'on' : 'off';
        // One kept connection at most: each idle one holds a worker, and there are but two.
        $keepalive = $keep === 'on' ? 'keepalive 1;' : '';
        [$directive, $http, $main] = array_map(fn (string $part) => $this->options[$part] ?? '', ['directive', 'http', 'main']);
        $bind = isset($this->options['bind']) ? "fastcgi_bind {$this->options['bind']};" : '';
        $this->file = $this->folder->file('nginx.conf', <<<CONF
            $user
            daemon off;
            worker_processes 1;
            worker_rlimit_nofile {$this->connections(2)};
            pid $path/nginx.pid;
            error_log $path/log/nginx-error.log warn;
            $main
            events { worker_connections {$this->connections()}; }
            http {
                client_max_body_size 16m;
                access_log $path/log/nginx-access.log;
                client_body_temp_path $path/nginx-body;
                fastcgi_temp_path $path/nginx-fastcgi;
                proxy_temp_path $path/nginx-proxy;
                scgi_temp_path $path/nginx-scgi;
                uwsgi_temp_path $path/nginx-uwsgi;
                $http
                upstream php {
                    server {$this->pool->address()};
                    $keepalive
                }
                server {
                    listen 127.0.0.1:{$this->port} backlog=511;
                    root $path/app;
                    location / {
                        fastcgi_pass php;
                        fastcgi_keep_conn $keep;
                        $bind
                        $directive
                        {$this->parameters('$fastcgi_script_name')}
                    }
                    {$this->sites($keep)}
                    {$this->other()}
                    {$this->redirect()}
                    {$this->locations()}
                    location ~ ^(?<front>/.+?\.php)(?<info>/.*)$ {
                        fastcgi_pass php;
                        fastcgi_keep_conn $keep;
                        {$this->parameters('$front')}
                        fastcgi_param PATH_INFO \$info;
                    }
                }
            }
            CONF);
        $this->startNginx();
    }

    /** @return list<int> nginx's processes, the master first */
    public function nginx(): array
    {
        return [$this->nginx->pid, ...Proc::children($this->nginx->pid)];
    }

    /** Has nginx read its configuration again, and waits until a new process of it serves. */
    public function reloadNginx(): void
    {
        $old = Proc::children($this->nginx->pid);
        $this->nginx->signal(SIGHUP);
        Deadline::until(
            fn (): bool => array_diff(Proc::children($this->nginx->pid), $old) !== [],
            10.0,
            'nginx has a new process',
            fn (): string => $this->logs(),
        );
    }

    /** Kills all of nginx at once, and starts another on the same port. */
    public function restartNginx(): void
    {
        $processes = $this->nginx();
        array_map(static fn (int $pid): bool => posix_kill($pid, SIGKILL), $processes);
        foreach ($processes as $pid) {
            Deadline::until(static fn (): bool => !Proc::isAlive($pid), 5.0, "nginx's process $pid has ended");
        }
        $this->forget($this->nginx);
        $this->startNginx();
    }

    private function startNginx(): void
    {
        $path = $this->folder->path;
        $this->nginx = $this->run('nginx', ['nginx', '-p', $path, '-c', $this->file, '-e', "$path/log/nginx-error.log"]);
    }

    private function parameters(string $script): string
    {
        $host = ($this->options['host'] ?? '') === 'debian' ? 'fastcgi_param HTTP_HOST $host;' : '';

        return <<<CONF
            fastcgi_param SCRIPT_FILENAME \$document_root$script;
            fastcgi_param SCRIPT_NAME $script;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param REQUEST_URI \$request_uri;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length;
            fastcgi_param SERVER_PROTOCOL \$server_protocol;
            fastcgi_param REMOTE_ADDR \$remote_addr;
            fastcgi_param REMOTE_PORT \$remote_port;
            fastcgi_param SERVER_NAME \$server_name;
            fastcgi_param SERVER_PORT \$server_port;
            $host
            CONF;
    }

    private function other(): string
    {
        $address = $this->pool->otherAddress();

        return $address === '' ? '' : <<<CONF
            location ~ ^/other(?<script>/.*)$ {
                fastcgi_pass $address;
                {$this->parameters('$script')}
            }
            CONF;
    }

    private function redirect(): string
    {
        return ($this->options['redirect'] ?? 0) ? <<<CONF
            location /.sse/ {
                internal;
                proxy_pass http://unix:{$this->socket()}.http:;
                proxy_http_version 1.1;
                proxy_pass_request_headers off;
                proxy_pass_request_body off;
                proxy_read_timeout 1h;
                proxy_intercept_errors on;
                error_page 410 502 504 = @again;
            }
            location @again {
                default_type text/event-stream;
                return 200 "retry: 2000\n\n";
            }
            CONF : '';
    }

    private function locations(): string
    {
        $php = "fastcgi_pass php; {$this->parameters('$script')}";

        return str_replace(['{php}', '{port}'], [$php, (string) $this->port], (string) ($this->options['locations'] ?? ''));
    }

    private function sites(string $keep): string
    {
        $names = $this->options['namespaces'] ?? '';

        return $names === '' ? '' : <<<CONF
            location ~ ^/(?<site>$names)(?<script>/.*)$ {
                fastcgi_pass php;
                fastcgi_keep_conn $keep;
                {$this->parameters('$script')}
                fastcgi_param PHP_VALUE "sse.namespace=\$site";
            }
            CONF;
    }
}
