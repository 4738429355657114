<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Server\Apache;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;

/** Another proxy in front of the site's web server, with the lines of the page "Behind a proxy" as they are printed. */
final class BehindProxyTest extends ServerTestCase
{
    private const PAGE = 'docs/operations/behind-a-proxy.md';
    private const WITH_HEARTBEAT = ['sse.heartbeat' => 1];
    /** So that its failure is no way to notice that a client has left. */
    private const WITHOUT_HEARTBEAT = ['sse.heartbeat' => 3600];

    private ?Process $outer = null;

    protected function tearDown(): void
    {
        $this->outer?->stop();
        parent::tearDown();
    }

    /** @dataProvider places */
    public function testNginxInFrontOfNginxDeliversWithTheOneLineInEither(string $place): void
    {
        ['nginx' => [$inner, $outer]] = Page::blocks(self::PAGE, 'nginx in front of nginx');
        $options = $place === 'inner' ? ['directive' => $inner] : [];
        $server = $this->serve('nginx-fpm-unix', self::WITHOUT_HEARTBEAT, $options);
        $port = Port::free();
        $path = $server->folder->folder('outer');
        $line = $place === 'outer' ? $outer : '';
        $file = $server->folder->file('outer/nginx.conf', <<<CONF
            daemon off;
            pid $path/nginx.pid;
            events { }
            http {
                access_log off;
                client_body_temp_path $path/body;
                proxy_temp_path $path/proxy;
                fastcgi_temp_path $path/fastcgi;
                scgi_temp_path $path/scgi;
                uwsgi_temp_path $path/uwsgi;
                server {
                    listen 127.0.0.1:$port;
                    location / {
                        proxy_pass http://127.0.0.1:$server->port;
                        $line
                    }
                }
            }
            CONF);
        $client = $this->front($server, $port, ['nginx', '-p', $path, '-c', $file, '-e', "$path/error.log"]);

        $this->assertEventsArriveOneByOne($server, $client);
        $this->assertThatAClientHasLeftIsNoticed($server, $client);
    }

    public function testHaproxyTellsAtOnceThatAClientHasLeft(): void
    {
        ['haproxy' => [$defaults]] = Page::blocks(self::PAGE, 'HAProxy');
        $server = $this->serve('nginx-fpm-unix', self::WITHOUT_HEARTBEAT);
        $port = Port::free();
        $file = $server->folder->file('haproxy.cfg', <<<CONF
            $defaults
                timeout connect 5s

            frontend outer
                bind 127.0.0.1:$port
                default_backend inner

            backend inner
                server nginx 127.0.0.1:$server->port

            CONF);
        $client = $this->front($server, $port, ['haproxy', '-db', '-f', $file]);

        $this->assertEventsArriveOneByOne($server, $client);
        $this->assertThatAClientHasLeftIsNoticed($server, $client);
    }

    public function testVarnishNeedsNothingAndTellsAtAHeartbeatThatAClientHasLeft(): void
    {
        $server = $this->serve('nginx-fpm-unix', self::WITH_HEARTBEAT);
        $client = $this->varnish($server, '');

        $this->assertEventsArriveOneByOne($server, $client);
        $this->assertThatAClientHasLeftIsNoticed($server, $client);
    }

    public function testVarnishTellsAtOnceThroughAPipeThatAClientHasLeft(): void
    {
        ['vcl' => [$pipe]] = Page::blocks(self::PAGE, 'Varnish');
        $server = $this->serve('nginx-fpm-unix', self::WITHOUT_HEARTBEAT);
        $client = $this->varnish($server, $pipe);

        $this->assertEventsArriveOneByOne($server, $client);
        $this->assertThatAClientHasLeftIsNoticed($server, $client);
    }

    public function testApacheNeedsNothingAndTellsAtAHeartbeatThatAClientHasLeft(): void
    {
        $server = $this->serve('nginx-fpm-unix', self::WITH_HEARTBEAT);
        $port = Port::free();
        $modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http'];
        $pass = "ProxyPass / http://127.0.0.1:$server->port/";
        $file = $server->folder->file('outer.conf', Apache::configuration($server, $modules, $pass, $port));
        $client = $this->front($server, $port, Apache::command($server->folder->path, $file));

        $this->assertEventsArriveOneByOne($server, $client);
        $this->assertThatAClientHasLeftIsNoticed($server, $client);
    }

    public function testCaddyNeedsNothingAndTellsAtOnceThatAClientHasLeft(): void
    {
        $server = $this->serve('nginx-fpm-unix', self::WITHOUT_HEARTBEAT);
        $port = Port::free();
        $path = $server->folder->path;
        $file = $server->folder->file('Caddyfile', <<<CONF
            {
                admin off
                auto_https off
                storage file_system $path/caddy
            }
            http://127.0.0.1:$port {
                bind 127.0.0.1
                reverse_proxy 127.0.0.1:$server->port
            }

            CONF);
        $client = $this->front($server, $port, ['caddy', 'run', '--config', $file, '--adapter', 'caddyfile']);

        $this->assertEventsArriveOneByOne($server, $client);
        $this->assertThatAClientHasLeftIsNoticed($server, $client);
    }

    /** @return array<string, array{string}> */
    public static function places(): array
    {
        return ['the line in the inner one' => ['inner'], 'the line in the outer one' => ['outer']];
    }

    private function varnish(Server $server, string $lines): Client
    {
        $port = Port::free();
        $file = $server->folder->file('outer.vcl', <<<VCL
            vcl 4.1;
            backend default { .host = "127.0.0.1"; .port = "$server->port"; }
            $lines

            VCL);
        $command = ['varnishd', '-F', '-j', 'none', '-n', $server->folder->folder('varnish'), '-l', '1m'];

        return $this->front($server, $port, [...$command, '-T', 'none', '-a', "127.0.0.1:$port", '-f', $file]);
    }

    /** @param list<string> $command that starts the other proxy on the port */
    private function front(Server $server, int $port, array $command): Client
    {
        $path = $server->folder->path;
        $this->outer = new Process($command, "$path/log/outer.out", ['HOME' => $path], $path, $command[0]);
        Deadline::until(static fn (): bool => Port::answers($port), 10.0, "$command[0] answers");

        return new Client("http://127.0.0.1:$port");
    }

    /** Each before the next is published; and two streams of one URL are two. */
    private function assertEventsArriveOneByOne(Server $server, Client $client): void
    {
        $streams = $client->openMany(2, '/stream.php?topics=news');
        foreach (['one', 'two', 'three'] as $already => $event) {
            $server->publish('news', $event);
            foreach ($streams as $stream) {
                $client->awaitEvents($stream, $already + 1);
            }
        }
        foreach ($streams as $stream) {
            self::assertSame(['one', 'two', 'three'], $stream->data());
        }
        self::assertSame(2, $server->openStreams());
    }

    private function assertThatAClientHasLeftIsNoticed(Server $server, Client $client): void
    {
        $client->closeAll();

        $server->awaitOpenStreams(0, 15.0);
    }
}
