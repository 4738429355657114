<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** What a client chooses, or load brings about, never makes a stream stay in its worker. */
final class DetachTest extends RenderTestCase
{
    private const STREAM = '/stream.php?topics=news';
    private const CALLBACK = '/replay/page.php?topics=news&callback=value';

    /** Attack: requests that can't be kept, as many as there are workers. Then no page would be answered any more. */
    public function testRequestsThatCantBeKeptLeaveTheWorkersFree(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['pm.max_children' => 2]);
        $large = str_repeat('b', 65_537);
        $form = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\ncontent\r\n--b--\r\n";
        $paths = [self::CALLBACK, '/replay/page.php?topics=news&callback=none&reauthorize=1'];
        foreach ($paths as $path) {
            $refused = [
                $server->client->request($path, [], 'GET', $large),
                $server->client->request($path, [], 'POST', $large),
                $server->client->request($path, ['Content-Type' => 'multipart/form-data; boundary=b'], 'POST', $form),
            ];
            foreach ($refused as $response) {
                self::assertRefused(413, 'send at most 64 KiB of body, no files', $response);
                self::assertArrayNotHasKey('retry-after', $response->headers);
            }
        }
        self::assertSame(200, $server->client->request('/hello.php')->status);
        self::assertSame(0, $server->openStreams());
        self::assertStringContainsString('sse: a stream was refused (413): its request can\'t be sent again', $server->phpLog());
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    public function testAProcessTellsEachReasonOnce(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['pm.max_children' => 1]);
        $kept = $server->client->openOne(self::STREAM . '&user=alice&max_per_user=1');
        for ($nth = 1; $nth <= 3; $nth++) {
            $server->client->request(self::CALLBACK, [], 'POST', str_repeat('b', 65_537));
            self::assertSame(429, $server->client->request(self::STREAM . '&user=alice&max_per_user=1')->status);
        }

        self::assertSame(1, substr_count($server->phpLog(), 'a stream was refused (413)'));
        self::assertSame(1, substr_count($server->phpLog(), 'a stream was refused (429)'));
        self::assertTrue($kept->isOpen());
    }

    /** @return iterable<string, array{string, string}> server, where its hub ends */
    public static function endings(): iterable
    {
        foreach (Catalogue::EACH_SAPI as $server) {
            foreach (['at=callback', 'at=headers', 'at=headers&plain=1'] as $where) {
                yield "$server, $where" => [$server, $where];
            }
        }
    }

    /**
     * A hub that ends between hold and commit is the next one's business, not the worker's.
     *
     * @dataProvider endings
     */
    public function testAStreamWhoseHubEndsAsItBeginsGoesToTheNextHub(string $name, string $where): void
    {
        $server = $this->serve($name);
        $before = $server->stats()['pid'];

        $stream = $server->client->openOne("/replay/hub-ends.php?$where");

        $server->awaitLog('sse_stream returned true');
        self::assertNotSame($before, $server->stats()['pid']);
        $first = str_contains($where, 'plain') ? [] : ['first'];
        self::assertSame($first, $server->client->awaitEvents($stream, count($first)));
        $server->publish('news', 'second');
        self::assertSame([...$first, 'second'], $server->client->awaitEvents($stream, count($first) + 1));
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    /** Where no other hub may be started, the response that has begun ends, so that its client comes back. */
    public function testAResponseThatHasBegunEndsIfThereIsNoOtherHub(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.spawn' => 'off']);
        $hub = $this->startHub($server);

        $stream = $server->client->open('/replay/hub-ends.php?at=headers&plain=1');

        $this->awaitCleanEnd($server, $stream);
        $server->awaitLog('sse_stream returned false');
        self::assertSame(200, $stream->response->status);
        self::assertStringContainsString('sse: a stream has ended as it began: no hub runs at ', $server->phpLog());
        proc_close($hub);
    }

    public function testAHubThatIsTooBusyIsLoad(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.timeout' => 100]);
        $server->stats();
        $hub = $server->hub();
        posix_kill($hub, SIGSTOP);
        try {
            $response = $server->client->request(self::STREAM);
        } finally {
            posix_kill($hub, SIGCONT);
        }

        self::assertRefused(503, 'There is no room', $response);
        self::assertSame('5', $response->headers['retry-after']);
        self::assertStringContainsString('sse: a stream was refused (503): the hub did not answer within ', $server->phpLog());
    }

    /**
     * A client that resets its connection leaves nothing that could tell its worker so later.
     *
     * @dataProvider servers
     */
    public function testAClientThatHasLeftHoldsNoWorker(string $name): void
    {
        $server = $this->serve($name);
        $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
        socket_connect($socket, '127.0.0.1', $server->port);
        socket_write($socket, "GET /replay/late.php HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $this->awaitRuns($server, 1, 'requests');

        socket_set_option($socket, SOL_SOCKET, SO_LINGER, ['l_onoff' => 1, 'l_linger' => 0]);
        socket_close($socket);
        $this->tell($server, 'go', 'now');

        $this->awaitRuns($server, 2, 'requests');
        self::assertSame(0, $server->openStreams());
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(['apache-mod-php', 'php-s']);
    }

    /** Apache takes versions of HTTP that there aren't, and puts bytes into URLs that no URL has. */
    public function testAnOddRequestLineIsItsClientsBusiness(): void
    {
        $server = $this->serve('apache-mod-php');

        $odd = self::raw($server, "GET /stream.php?topics=news HTTP/1.7\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        $bytes = self::raw($server, 'GET ' . self::CALLBACK . "&x=\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");

        self::assertStringStartsWith('HTTP/1.1 505 ', $odd);
        // Bytes that are not UTF-8 are sent again percent-encoded.
        self::assertStringStartsWith('HTTP/1.1 200 ', $bytes);
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    /** Apache lets a hundred headers of 8 KiB pass. */
    public function testHeadersThatAreTooLargeToBeKeptAreRefused(): void
    {
        $server = $this->serve('apache-mod-php');
        $headers = [];
        for ($number = 1; $number <= 30; $number++) {
            $headers["X-Large-$number"] = str_repeat('h', 8_000);
        }

        self::assertRefused(413, 'no huge headers', $server->client->request(self::CALLBACK, $headers));
        $server->awaitLog('up to 196608 are kept');
    }

    /** @return array<string, array{string, string, string, array<string, string>}> modules, directives, encoding, settings */
    public static function compressors(): array
    {
        $withoutSetenv = ['disable_functions' => 'apache_setenv,apache_response_headers'];
        $brotli = ['filter,brotli', 'SetOutputFilter BROTLI_COMPRESS', 'br'];
        $deflate = ['filter,deflate', 'SetOutputFilter DEFLATE', 'gzip'];

        return [
            'mod_brotli' => [...$brotli, []],
            'mod_brotli, without PHP\'s functions' => [...$brotli, $withoutSetenv],
            'mod_deflate, without PHP\'s functions' => [...$deflate, $withoutSetenv],
        ];
    }

    /**
     * Whether Apache compresses is the client's choice.
     *
     * @dataProvider compressors
     * @param array<string, string> $settings
     */
    public function testAClientThatTakesCompressedResponsesHoldsNoWorker(
        string $modules,
        string $directives,
        string $encoding,
        array $settings,
    ): void {
        $server = $this->serve('apache-mod-php', $settings, ['load' => $modules, 'directives' => $directives]);
        // Not a small page, which mod_deflate leaves as it is.
        $page = $server->client->request('/stats.php', ['Accept-Encoding' => $encoding]);
        self::assertSame($encoding, $page->headers['content-encoding'] ?? null, $page->summary());

        $stream = $server->client->openOne(self::STREAM, ['Accept-Encoding' => $encoding]);

        $server->awaitLog('sse_stream returned true');
        self::assertArrayNotHasKey('content-encoding', $stream->response->headers);
    }

    /** @return array<string, array{string, string}> modules, directives */
    public static function namesOfOthers(): array
    {
        return [
            'mod_remoteip: the address of the visitor, the port of the proxy' => [
                'remoteip',
                "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1",
            ],
            'a name with https, for a proxy that ends TLS' => ['', 'ServerName https://example.test'],
        ];
    }

    /**
     * What Apache tells scripts about the connection may be that of a proxy's client.
     *
     * @dataProvider namesOfOthers
     */
    public function testAnApacheBehindAProxyHandsStreamsOver(string $modules, string $directives): void
    {
        $server = $this->serve('apache-mod-php', [], ['load' => $modules, 'directives' => $directives]);

        $stream = $server->client->openOne(self::STREAM, ['X-Forwarded-For' => '203.0.113.9']);

        $server->awaitLog('sse_stream returned true');
        $server->publish('news', 'hello');
        self::assertSame(['hello'], $server->client->awaitEvents($stream, 1));
    }

    /** A body without its head is for no client to read. */
    public function testAStreamWhoseHeadAnApacheFilterWithholdsStaysInItsWorker(): void
    {
        $filter = "ExtFilterDefine cat mode=output cmd=/bin/cat\nSetOutputFilter cat";
        $server = $this->serve('apache-mod-php', [], ['load' => 'ext_filter', 'directives' => $filter]);
        $socket = stream_socket_client("tcp://127.0.0.1:{$server->port}");
        fwrite($socket, 'GET ' . self::STREAM . " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $server->awaitLog("sse: a stream is served in its worker: Apache has not sent the response's head");

        $server->publish('news', 'hello');

        stream_set_timeout($socket, 1);
        self::assertMatchesRegularExpression('~^($|HTTP/1\.1 200 OK)~', (string) fread($socket, 100));
    }

    /** @return iterable<string, array{string, array<string, string>, string, string}> server, settings, path, what the log says */
    public static function impossible(): iterable
    {
        $require = ['sse.detach' => 'require'];
        yield 'HTTPS of Apache itself' => ['apache-mod-php-tls', $require, self::STREAM, "passes Apache's filter 'ssl/tls"];
        yield 'a script that wants it' => ['nginx-fpm-unix', $require, self::STREAM . '&detach=0', "its option 'detach' is false"];
        yield 'a function that is needed' => [
            'apache-mod-php',
            $require + ['disable_functions' => 'getallheaders'],
            self::CALLBACK,
            'getallheaders() is disabled',
        ];
    }

    /**
     * @dataProvider impossible
     * @param array<string, string> $settings
     */
    public function testWhereItIsRequiredAStreamThatCantBeHandedOverIsRefused(
        string $name,
        array $settings,
        string $path,
        string $why,
    ): void {
        $server = $this->serve($name, $settings);

        $response = $server->client->request($path);

        self::assertRefused(503, 'There is no room', $response);
        self::assertSame('5', $response->headers['retry-after']);
        self::assertStringContainsString('sse: a stream was refused (503): ', $server->phpLog());
        self::assertStringContainsString($why, $server->phpLog());
        self::assertSame(0, $server->openStreams());
    }

    public function testWhereItIsRequiredAStreamThatCanIsHandedOver(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.detach' => 'require']);

        $stream = $server->client->openOne(self::CALLBACK);
        $server->publish('news', 'second');

        self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2));
        $server->awaitLog('sse_stream returned true');
    }

    private static function assertRefused(int $status, string $sentence, Response $response): void
    {
        self::assertSame($status, $response->status, $response->summary());
        self::assertStringContainsString($sentence, $response->body);
        self::assertStringStartsWith('text/plain', $response->headers['content-type']);
    }

    /** @return string the first line of the answer */
    private static function raw(Server $server, string $request): string
    {
        $socket = stream_socket_client("tcp://127.0.0.1:$server->port");
        fwrite($socket, $request);
        stream_set_timeout($socket, 10);

        return (string) fgets($socket);
    }

    /** @return resource a hub where workers may start none */
    private function startHub(Server $server)
    {
        $command = ['php', '-n', '-c', "{$server->folder->path}/php.ini", '-d', 'sse.spawn=auto', '-r', 'sse_hub();'];
        $user = posix_geteuid() === 0 ? ['setpriv', '--reuid=' . Php::workerUser(), '--clear-groups'] : [];
        $process = proc_open([...$user, ...$command], array_fill(1, 2, ['file', '/dev/null', 'w']), $pipes);
        Deadline::until(
            static fn (): bool => $server->client->request('/stats.php')->status === 200,
            10.0,
            'a hub runs',
            static fn (): string => $server->logs(),
        );

        return $process;
    }
}
