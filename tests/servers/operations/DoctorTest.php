<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Server;

/** What `sse doctor` finds in set-ups that are broken on purpose, and that it finds nothing in a good one. */
final class DoctorTest extends ServerTestCase
{
    /** The same nginx in front of itself, and what else is put between PHP and a browser. */
    private const LOCATIONS = <<<'CONF'
        location /buffered/ { proxy_pass http://127.0.0.1:{port}/; }
        location /holding/ { proxy_buffer_size 1m; proxy_buffers 2 1m; proxy_busy_buffers_size 1m; proxy_pass http://127.0.0.1:{port}/; }
        location ~ ^/ignoring(?<script>/.+)$ { fastcgi_ignore_headers X-Accel-Buffering; {php} }
        location /hasty/ { proxy_buffering off; proxy_read_timeout 1s; proxy_pass http://127.0.0.1:{port}/; }
        location ~ ^/gzip(?<script>/.+)$ { gzip on; gzip_types text/event-stream; {php} }
        location ~ ^/cached(?<script>/.+)$ { fastcgi_hide_header Cache-Control; add_header Cache-Control "public, max-age=60"; {php} }
        location ~ ^/dated(?<script>/.+)$ { fastcgi_pass_header Date; {php} }
        location ~ ^/down(?<script>/.+)$ { fastcgi_pass 127.0.0.1:1; }
        CONF;

    public function testAGoodSiteHasNothingToBeCured(): void
    {
        $server = $this->serve('nginx-fpm-unix');

        $found = $this->examine($server, '/stream.php?topics=chat.*', 0);

        // On a busy machine an event may be late.
        unset($found['late']);
        self::assertSame(['version', 'hub', 'opened', 'worker-free', 'topics', 'delivered', 'http1'], array_keys($found));
    }

    public function testEachBrokenSetUpIsNamed(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['locations' => self::LOCATIONS, 'pm.max_children' => 2]);
        $server->client->openOne('/stream.php?topics=other');
        $closed = Port::free();

        foreach (
            [
                '/buffered/stream.php?topics=news' => ['buffered', 'proxy_buffering off'],
                '/holding/stream.php?topics=news' => ['buffered', 'nor did anything after 256 KiB'],
                '/ignoring/stream.php?topics=news' => ['buffered', 'fastcgi_ignore_headers'],
                '/gzip/stream.php?topics=news' => ['compressed', 'gzip_types'],
                '/cached/stream.php?topics=news' => ['cacheable', 'public, max-age=60'],
                '/dated/doctor.php?case=clock' => ['clock', 'NTP'],
                '/doctor.php?case=unfollowed' => ['not-followed', '#streams-by-redirect'],
                '/down/stream.php?topics=news' => ['no-php', 'PHP-FPM'],
                '/doctor.php?case=forbidden' => ['forbidden', 'not for you'],
                '/doctor.php?case=login' => ['redirect', '/login.php'],
                '/doctor.php?case=form' => ['content-type', 'Please log in'],
                '/doctor.php?case=limit' => ['limit', 'too many streams of one address'],
                '/doctor.php?case=error' => ['script-failed', 'error log'],
                '/missing.php' => ['not-found', '404'],
                '/stream.php?topics=news&detach=0' => ['worker-held', 'sse.detach'],
            ] as $path => [$id, $text]
        ) {
            $found = $this->examine($server, $path, 1, ['--patience=2']);
            self::assertArrayHasKey($id, $found, "$path: " . json_encode($found, JSON_THROW_ON_ERROR));
            self::assertStringContainsString($text, $found[$id]['message'] . $found[$id]['cure'], $path);
            self::assertMatchesRegularExpression('/^.+$/D', $found[$id]['cure'], $path);
        }
        self::assertArrayHasKey('callback', $this->examine($server, '/doctor.php?case=callback', 0));
        $wrong = $this->examine($server, '/stream.php?topics=chat.general', 1, ['--topic=chat/general']);
        self::assertStringContainsString("published to 'chat/general': it watches chat.general", $wrong['wrong-topic']['message']);
        $cut = $this->examine($server, '/hasty/stream.php?topics=news', 1, ['--hold=30']);
        self::assertStringContainsString('sse.heartbeat', $cut['cut']['cure']);
        $silent = $this->examine($server, '/stream.php?topics=news', 0, ['--hold=1']);
        self::assertStringContainsString('longer than sse.heartbeat', $silent['silent']['cure']);
        $nobody = $this->examine($server, ":$closed/", 1);
        self::assertArrayHasKey('unreachable', $nobody);

        $busy = [$server->client->openOne('/stream.php?topics=a&detach=0'), $server->client->openOne('/stream.php?topics=b&detach=0')];
        self::assertArrayHasKey('busy', $this->examine($server, '/stream.php?topics=news', 1, ['--patience=1']));
        array_map(static fn ($stream) => $stream->close(), $busy);
    }

    public function testApacheThatCollectsWhatPhpFpmWritesIsNamed(): void
    {
        $server = $this->serve('apache-fcgi', ['sse.pad' => 'off'], ['flushpackets' => 'off']);

        $found = $this->examine($server, '/stream.php?topics=news', 1, ['--patience=1']);

        self::assertStringContainsString('flushpackets=on', $found['buffered']['cure']);
    }

    public function testACertificateThatNobodyTrustsIsNamed(): void
    {
        $server = $this->serve('apache-mod-php-tls');

        $found = $this->examine($server, '/stream.php?topics=news', 1);
        self::assertStringContainsString('certificate', $found['unreachable']['message']);
        // Apache would have to write to the connection itself.
        self::assertArrayHasKey('worker-held', $this->examine($server, '/stream.php?topics=news', 1, ['--insecure']));
    }

    public function testAWebServersPhpWithoutTheExtensionIsNamed(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['display_errors' => 1, 'html_errors' => 0], ['extension' => 0]);

        $found = $this->examine($server, '/stream.php?topics=news', 1);

        self::assertStringContainsString('extension=sse.so', $found['no-extension']['cure']);
    }

    public function testACommandLineWithoutTheExtensionIsNotTakenForTheWebServers(): void
    {
        $url = $this->serve('php-s')->url('/stream.php?topics=news');

        $found = self::read($this->commandLine(isPolyfill: true)->run(CommandLine::sse(), ['doctor', $url, '--json'], [], [], 1));

        self::assertStringContainsString('-d extension=/path/to/sse.so', $found['no-extension']['cure']);
        self::assertArrayHasKey('opened', $found);
    }

    public function testAnotherHubThanTheWebServersIsNamed(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $url = $server->url('/stream.php?topics=news');
        $commandLine = $this->commandLine();
        $commandLine->run('sse_publish("news", "x");');
        $hub = $commandLine->socket();

        $found = self::read($commandLine->run(CommandLine::sse(), ['doctor', $url, '--json'], ['sse.max_streams' => 9], [], 1));

        self::assertStringContainsString($hub, $found['other-hub']['message']);
        self::assertStringContainsString('nobody watched', $found['unwatched']['message']);
        self::assertStringContainsString('sse.max_streams', $found['settings']['message']);
        if (posix_geteuid() === 0) {
            $temporary = $commandLine->folder->folder('t', 01777);
            $settings = ['sse.socket' => '', 'sys_temp_dir' => $temporary];
            $found = self::read($commandLine->run(CommandLine::sse(), ['doctor', $url, '--json'], $settings, [], 1));
            self::assertStringContainsString('user ' . posix_getpwnam('www-data')['uid'], $found['web-servers-hub']['message']);
            self::assertStringContainsString('sudo -u', $found['web-servers-hub']['cure']);
            self::assertArrayHasKey('no-hub', $found);
            $commandLine->run('sse_publish("news", "x");', [], $settings + ['sse.other_hub' => 'off']);
            $hidden = self::read($commandLine->run(CommandLine::sse(), ['doctor', '--json'], $settings, ['without' => $temporary], 1));
            self::assertStringContainsString('PrivateTmp', $hidden['web-servers-hub']['message']);
        }
    }

    /** @return iterable<string, array{string, string, list<array<string, string|int>>, list<array<string, string|int>>}> */
    public static function cures(): iterable
    {
        yield 'more descriptors' => ['descriptors', 'nginx-fpm-unix', [[], ['nofile' => 300]], [[], ['nofile' => 8192]]];
        yield 'less memory' => ['memory', 'nginx-fpm-unix', [['sse.history_bytes' => '900G'], []], [[], []]];
        yield 'flushpackets=on' => [
            'buffered',
            'apache-fcgi',
            [['sse.pad' => 'off'], ['flushpackets' => 'off']],
            [['sse.pad' => 'off'], ['flushpackets' => 'on']],
        ];
        yield 'the hand-off' => ['worker-held', 'nginx-fpm-unix', [['sse.detach' => 'off'], []], [[], []]];
    }

    /**
     * @dataProvider cures
     * @param list<array<string, string|int>> $broken settings and options of the server
     * @param list<array<string, string|int>> $cured
     */
    public function testWhatWasCuredIsFoundNoMore(string $id, string $name, array $broken, array $cured): void
    {
        foreach ([[$broken, 1], [$cured, 0]] as [[$settings, $options], $code]) {
            $server = $this->serve($name, $settings, $options);
            $server->stats();

            $found = $this->examine($server, '/stream.php?topics=news', $code, ['--patience=2']);

            self::assertSame($code === 1, isset($found[$id]), json_encode($found, JSON_THROW_ON_ERROR));
            self::assertNotSame('', $found[$id]['cure'] ?? 'cured');
        }
    }

    public function testFewDescriptorsAreNamed(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['nofile' => 300]);
        $server->client->openOne('/stream.php?topics=other');

        self::assertStringContainsString('may have 300', $this->examine($server, null, 1)['descriptors']['message']);
    }

    /**
     * @param string|null  $path Of the server; with `:` at its beginning of another one.
     * @param list<string> $more
     *
     * @return array<string, array{id: string, level: string, message: string, cure: string}>
     */
    private function examine(Server $server, ?string $path, int $code, array $more = []): array
    {
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.idle_exit' => 300]);
        $url = $path === null ? [] : [$path[0] === ':' ? "http://127.0.0.1$path" : $server->url($path)];

        return self::read($commandLine->run(CommandLine::sse(), ['doctor', ...$url, '--json', ...$more], [], [], $code));
    }

    /** @return array<string, array{id: string, level: string, message: string, cure: string}> */
    private static function read(string $json): array
    {
        return array_column(json_decode($json, true, 512, JSON_THROW_ON_ERROR), null, 'id');
    }
}
