<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Haproxy;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Redis;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use Symfony\Component\Yaml\Yaml;

/** The examples of packaging/ansible, packaging/kubernetes and packaging/systemd. */
final class DeploymentTest extends EndpointTestCase
{
    private const FOLDER = __DIR__ . '/../../../packaging';

    private ?Process $nginx = null;
    private ?Redis $redis = null;
    private ?Haproxy $proxy = null;

    protected function tearDown(): void
    {
        $this->nginx?->stop();
        $this->proxy?->stop();
        parent::tearDown();
        $this->redis?->stop();
    }

    public function testThePartsOfKubernetesNameEachOther(): void
    {
        $parts = self::parts();
        self::assertSame(['ConfigMap', 'Secret', 'Deployment', 'Service', 'PodDisruptionBudget'], array_keys($parts));
        foreach ($parts as $kind => $part) {
            self::assertArrayHasKey('apiVersion', $part, $kind);
            self::assertMatchesRegularExpression('/^[a-z]([-a-z0-9]*[a-z0-9])?$/D', $part['metadata']['name'], $kind);
        }
        $deployment = $parts['Deployment']['spec'];
        $pod = $deployment['template']['spec'];
        $labels = $deployment['template']['metadata']['labels'];
        self::assertSame($labels, $deployment['selector']['matchLabels']);
        self::assertSame($labels, $parts['Service']['spec']['selector']);
        self::assertSame($labels, $parts['PodDisruptionBudget']['spec']['selector']['matchLabels']);
        [$php, $nginx] = $pod['containers'];
        self::assertSame($parts['Service']['spec']['ports'][0]['targetPort'], $nginx['ports'][0]['name']);
        foreach (['readinessProbe', 'livenessProbe'] as $probe) {
            self::assertSame($nginx['ports'][0]['containerPort'], $php[$probe]['httpGet']['port']);
        }
        $secret = $php['env'][0]['valueFrom']['secretKeyRef'];
        self::assertSame($parts['Secret']['metadata']['name'], $secret['name']);
        self::assertArrayHasKey($secret['key'], $parts['Secret']['stringData']);
        self::assertSame($parts['ConfigMap']['metadata']['name'], $pod['volumes'][0]['configMap']['name']);
        foreach ([$php, $nginx] as $container) {
            $mount = $container['volumeMounts'][0];
            self::assertSame($pod['volumes'][0]['name'], $mount['name']);
            self::assertArrayHasKey($mount['subPath'], $parts['ConfigMap']['data']);
        }
        // sleep, drain and its last wait; nginx, whose connections these are; and then the end of the pod.
        self::assertSame(1, preg_match('/^sleep (\d+); .* drain --over=(\d+)s$/D', self::preStop($php), $times));
        self::assertSame(1, preg_match('/^sleep (\d+)$/D', self::preStop($nginx), $nginxTimes));
        self::assertGreaterThanOrEqual((int) $times[1] + (int) $times[2] + 5, (int) $nginxTimes[1]);
        self::assertGreaterThan((int) $nginxTimes[1], $pod['terminationGracePeriodSeconds']);
    }

    public function testAPodServesStreamsIsReadyAndEndsThemBeforeItIsEnded(): void
    {
        $parts = self::parts();
        [$php] = $parts['Deployment']['spec']['template']['spec']['containers'];
        $this->redis = new Redis();
        putenv("SSE_BUS={$this->redis->url('stream=site')}");
        $settings = parse_ini_string($parts['ConfigMap']['data']['sse.ini'], false, INI_SCANNER_NORMAL);
        putenv('SSE_BUS');
        self::assertSame('sse.so', $settings['extension']);
        unset($settings['extension']);
        $server = $this->serveSite('nginx-fpm-tcp', $settings);
        $client = $this->nginx($parts['ConfigMap']['data']['nginx.conf'], $server);

        $ready = $client->request($php['readinessProbe']['httpGet']['path']);
        self::assertSame(200, $ready->status, $ready->summary());
        self::assertStringStartsWith('{"live":true', $ready->body);
        self::assertSame($settings['sse.max_streams'], (string) $server->stats()['settings']['max_streams']);
        Deadline::until(static fn (): bool => $server->stats()['bus']['state'] === 'connected', 20.0, 'Redis is reached');
        $streams = $client->openMany(3, '/stream.php?topics=news');
        $server->publish('news', 'hello');
        foreach ($streams as $stream) {
            self::assertSame(['hello'], $client->awaitEvents($stream, 1));
        }

        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);
        self::assertSame(1, preg_match('~vendor/bin/sse (drain .*)$~D', self::preStop($php), $command));
        $words = explode(' ', preg_replace('/--over=\d+s/', '--over=1s', $command[1]));
        self::assertStringStartsWith('3 ended', $commandLine->run(CommandLine::sse(), $words));
        $client->awaitAll($streams, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the streams have ended');
    }

    public function testThePlaybookSaysWhatHaproxyAndSseUnderstand(): void
    {
        require_once 'Symfony/Component/Yaml/autoload.php';
        [$play] = Yaml::parseFile(self::FOLDER . '/ansible/rolling-update.yml');
        $tasks = array_column($play['tasks'], null, 'name');
        $shell = static fn (string $task): string => str_replace(
            '{{ inventory_hostname_short }}',
            'web1',
            $tasks[$task]['ansible.builtin.shell'],
        );
        $server = $this->serve('nginx-fpm-unix');
        $this->proxy = new Haproxy([$server], 10);
        $client = new Client("http://127.0.0.1:{$this->proxy->port}");
        $stream = $client->openOne('/stream.php?topics=news');
        $sessions = function () use ($shell): string {
            [$ask, $socat, $filter] = explode(' | ', $shell('Wait for the requests that are under way'), 3);
            self::assertSame(["echo 'show stat'", 'socat stdio {{ admin_socket }}'], [$ask, $socat]);

            return trim((string) shell_exec('echo ' . escapeshellarg($this->proxy->ask('show stat')) . " | $filter"));
        };
        $tell = fn (string $task): string => $this->proxy->ask(
            preg_replace("/^echo '(.*)' \\| socat .*/", '$1', $shell($task)) ?? '',
        );

        self::assertSame('', $tell('Send no new requests here'));
        self::assertSame('1', $sessions());
        self::assertSame(503, $client->request('/hello.php')->status, 'no machine is left');
        $drain = $tasks['End the streams, one after the other']['ansible.builtin.command'];
        $drain = str_replace('{{ drain_over }}', $play['vars']['drain_over'], $drain);
        self::assertStringStartsWith('vendor/bin/sse drain ', $drain);
        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);
        $commandLine->run(CommandLine::sse(), array_slice(explode(' ', $drain), 1));
        $client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream ends');
        Deadline::until(static fn (): bool => $sessions() === '0', 10.0, 'nothing is under way');
        self::assertSame('', $tell('Send requests here again'));
        self::assertSame(200, $client->request('/hello.php')->status);
    }

    public function testTheUnitOfSystemdRunsAHub(): void
    {
        $unit = (string) file_get_contents(self::FOLDER . '/systemd/sse-hub.service');
        self::assertGreaterThan(0, preg_match_all('/^(\w+)=(.*)$/m', $unit, $lines));
        $service = array_combine($lines[1], $lines[2]);
        $command = "~^/usr/bin/php -d sse\\.socket=/run/(\\S+)/hub\\.sock -r 'sse_hub\\(\\);'\$~D";
        self::assertSame(1, preg_match($command, $service['ExecStart'], $start));
        self::assertSame($service['RuntimeDirectory'], $start[1]);
        self::assertSame('/bin/kill -HUP $MAINPID', $service['ExecReload']);
        $commandLine = $this->commandLine(['sse.spawn' => 'off']);

        $hub = $commandLine->startHub();
        self::assertMatchesRegularExpression('/^\d+-\d+$/D', $commandLine->run('publish.php', ['news', 'x']));
        $hub->signal(SIGTERM);

        self::assertSame(0, $hub->awaitExit());
    }

    /** @return array<string, array<string, mixed>> by kind */
    private static function parts(): array
    {
        require_once 'Symfony/Component/Yaml/autoload.php';
        $parts = [];
        foreach (preg_split('/^---$/m', (string) file_get_contents(self::FOLDER . '/kubernetes/site.yaml')) as $text) {
            $part = Yaml::parse($text);
            $parts[$part['kind']] = $part;
        }

        return $parts;
    }

    /** @param array<string, mixed> $container */
    private static function preStop(array $container): string
    {
        [$shell, $option, $command] = $container['lifecycle']['preStop']['exec']['command'];
        self::assertSame(['sh', '-c'], [$shell, $option]);

        return $command;
    }

    /** Another nginx in front of the server's PHP-FPM, with this configuration but for its places. */
    private function nginx(string $configuration, Server $server): Client
    {
        $path = $server->folder->path;
        self::assertSame(1, preg_match('/^listen = (\S+)$/m', (string) file_get_contents("$path/fpm.conf"), $fpm));
        $port = Port::free();
        $user = posix_geteuid() === 0 ? 'user ' . Php::workerUser() . ';' : '';
        $places = [
            '/tmp/' => $server->folder->folder('pod', 0777) . '/',
            'listen 8080' => "listen 127.0.0.1:$port",
            '127.0.0.1:9000' => $fpm[1],
            '/var/www/html/public' => "$path/app",
            'include fastcgi_params' => 'include /etc/nginx/fastcgi_params',
            'worker_rlimit_nofile 65536' => 'worker_rlimit_nofile 1024',
            'worker_connections 50000' => 'worker_connections 500',
        ];
        foreach (array_keys($places) as $place) {
            self::assertStringContainsString($place, $configuration);
        }
        $file = $server->folder->file('pod.conf', "$user\ndaemon off;\n" . strtr($configuration, $places));
        $log = "$path/log/pod-error.log";
        $this->nginx = new Process(['nginx', '-p', $path, '-c', $file, '-e', $log], "$path/log/pod.out", [], $path, 'nginx');
        Deadline::until(static fn (): bool => Port::answers($port), 10.0, 'nginx answers', $this->nginx->output(...));

        return new Client("http://127.0.0.1:$port");
    }
}
