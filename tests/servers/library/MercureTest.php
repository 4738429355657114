<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;
use Sse\Mercure\Name;
use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Update;

/** mercure.php by Mercure's protocol 0.x, with the real symfony/mercure as one of its clients. */
final class MercureTest extends MercureTestCase
{
    private const BOOK = 'https://example.com/books/1';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testWhatSymfonysClientPublishesIsReceivedByThoseWhomItIsFor(string $name): void
    {
        require_once 'Symfony/Component/Mercure/autoload.php';
        $server = $this->serveMercure($name);
        $books = self::url('https://example.com/books/{id}', 'end');
        $anonymous = $server->client->openOne($books);
        $allowed = $server->client->openOne($books, self::bearer(['subscribe' => ['https://example.com/users/foo/{?topic}']]));
        $other = $server->client->openOne($books, self::bearer(['subscribe' => ['https://example.com/users/bar/{?topic}']]));
        $hub = new Hub($server->url(self::PATH), new StaticTokenProvider(self::token(['publish' => ['*']])));

        $id = $hub->publish(new Update(self::BOOK, "one\ntwo", type: 'book', retry: 1234));
        $mine = 'https://example.com/users/foo/?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1';
        $hub->publish(new Update([self::BOOK, $mine], 'private', true, 'urn:own'));
        $hub->publish(new Update('end', '', id: 'https://example.com/#end'));

        self::assertMatchesRegularExpression('/^urn:uuid:[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/D', $id);
        $this->assertIds($server, $allowed, [$id, 'urn:own', 'https://example.com/#end']);
        foreach ([$anonymous, $other] as $stream) {
            $this->assertIds($server, $stream, [$id, 'https://example.com/#end']);
        }
        $event = $anonymous->parser->events[0];
        self::assertSame(["one\ntwo", 'book'], [$event->data, $event->name]);
        self::assertStringContainsString("retry: 1234\n", $anonymous->response->body);
    }

    /** @dataProvider servers */
    public function testThePagesOwnCodePublishesWithoutARequestAndWithoutAToken(string $name): void
    {
        $server = $this->serveMercure($name);
        $server->folder->file('app/update.php', <<<'PHP'
            <?php
            require __DIR__ . '/vendor/autoload.php';
            require 'Symfony/Component/Mercure/autoload.php';
            require dirname(__DIR__) . '/library/Mercure/functions.php';
            $hub = new Sse\Mercure\Hub('https://example.com/.well-known/mercure');
            $update = new Symfony\Component\Mercure\Update(['https://example.com/books/1', 'b'], 'by Symfony', true);
            $ids = [$hub->publish($update)];
            $ids[] = mercure_publish('https://example.com/books/2', 'by function', id: 'urn:2', type: 'book');
            echo json_encode([$ids, $hub->getPublicUrl(), $hub->getProvider()->getJwt(), $hub->getFactory()]);
            PHP);
        $stream = $server->client->openOne(
            self::url('https://example.com/books/{id}'),
            self::bearer(['subscribe' => ['https://example.com/{kind}/1']]),
        );

        $answer = $server->client->request('/update.php');

        [$ids, $url, $token, $factory] = json_decode($answer->body, true, 4, JSON_THROW_ON_ERROR);
        self::assertSame(['https://example.com/.well-known/mercure', '', null], [$url, $token, $factory]);
        self::assertSame('urn:2', $ids[1]);
        $this->assertIds($server, $stream, $ids);
        self::assertSame(['by Symfony', 'by function'], $stream->data());
    }

    /** @return iterable<string, array{string, int, 2?: string, 3?: array<string, string>}> */
    public static function publications(): iterable
    {
        $all = self::bearer(['publish' => ['*']]);
        $some = self::bearer(['publish' => ['https://example.com/{kind}/1', 'a']]);
        yield 'an update' => ['topic=a&data=x', 200, 'urn:uuid:', $all];
        yield 'one without data' => ['topic=a', 200, 'urn:uuid:', $all];
        yield 'one with an id' => ['topic=a&id=urn%3Aown', 200, 'urn:own', $all];
        yield 'allowed topics' => ['topic=https%3A%2F%2Fexample.com%2Fbooks%2F1&topic=a', 200, 'urn:uuid:', $some];
        yield 'one that is not' => ['topic=a&topic=b', 401, 'does not allow all', $some];
        yield 'no token' => ['topic=a', 401, 'needs a token'];
        yield 'a subscriber\'s token' => ['topic=a', 401, 'needs a token', self::bearer(['subscribe' => ['*']])];
        yield 'a token of no use' => ['topic=a', 401, 'needs a token', self::bearer(['publish' => []])];
        yield 'another key' => ['topic=a', 401, 'needs', ['Authorization' => 'Bearer ' . self::token(['publish' => ['*']], [], 'x')]];
        yield 'a token that is over' => ['topic=a', 401, 'needs a token', self::bearer(['publish' => ['*']], ['exp' => time() - 1])];
        yield 'another scheme' => ['topic=a', 401, 'needs a token', ['Authorization' => 'Basic YTpi']];
        yield 'no topic' => ['data=x', 400, 'Missing "topic" parameter', $all];
        yield 'an empty topic' => ['topic=', 400, 'must not be empty', $all];
        yield 'a long topic' => ['topic=' . str_repeat('x', 1025), 400, 'at most 1024', $all];
        yield 'too many topics' => [implode('&', array_fill(0, 1001, 'topic=a')), 400, 'Too many "topic"', $all];
        yield 'more than the site allows' => [implode('&', array_fill(0, 101, 'topic=a')), 400, 'sse.max_topics', $all];
        yield 'no number' => ['topic=a&retry=soon', 400, 'Invalid "retry" parameter', $all];
        yield 'a negative one' => ['topic=a&retry=-1', 400, 'Invalid "retry" parameter', $all];
        yield 'an id of two lines' => ['topic=a&id=1%0Adata%3A2', 400, 'line break', $all];
        yield 'an id with NUL' => ['topic=a&id=1%00', 400, 'line break or NUL', $all];
        yield 'a type of two lines' => ['topic=a&type=1%0D2', 400, 'line break', $all];
        yield 'an id of the hub\'s form' => ['topic=a&id=%231', 400, 'must not start with #', $all];
        yield 'a topic of the hub\'s own' => ['topic=%2F.well-known%2Fmercure%2Fsubscriptions%2Fa', 403, 'the hub\'s own', $all];
    }

    public function testEachPublicationIsAnsweredAsTheProtocolSays(): void
    {
        $server = $this->serveMercure();
        foreach (self::publications() as $what => $publication) {
            [$body, $status, $text, $headers] = $publication + [3 => []];
            $answer = $server->client->request(self::PATH, $headers, 'POST', $body);
            self::assertSame($status, $answer->status, "$what: {$answer->summary()}");
            self::assertStringContainsString($text, $answer->body, $what);
            self::assertMatchesRegularExpression('~^text/plain(?:$|;)~', $answer->headers['content-type']);
        }
        self::assertSame(405, $server->client->request(self::PATH, [], 'PUT', 'topic=a')->status);
        // PHP itself complains of a form with more than 1,000 fields.
        self::assertStringNotContainsString('/library/', $server->phpLog());
    }

    /**
     * A body of which only a part is read: `private` is at its end, and without it everybody would get the update.
     *
     * @dataProvider servers
     */
    public function testAnUpdateThatIsTooLongIsRefusedAndNoPartOfItPublished(string $name): void
    {
        $server = $this->serveMercure($name, ini: ['post_max_size' => '16M', 'sse.max_event_size' => 16 << 20]);
        $stream = $server->client->openOne(self::url('a'));
        $token = self::bearer(['publish' => ['*']]);
        $update = static fn (int $length): string => str_pad('topic=a&data=', $length - 11, 'x') . '&private=on';

        $long = $server->client->request(self::PATH, $token, 'POST', $update((4 << 20) + 1));
        $stranger = $server->client->request(self::PATH, [], 'POST', $update((4 << 20) + 1));
        $secret = $server->client->request(self::PATH, $token, 'POST', 'topic=a&private=on&data=' . str_repeat('x', 4_000_000));
        $server->client->request(self::PATH, $token, 'POST', 'topic=a&data=the+last');

        self::assertSame([413, 401, 200], [$long->status, $stranger->status, $secret->status], $long->summary());
        self::assertSame(['the last'], $server->client->awaitEvents($stream, 1));
    }

    /** PHP cuts it, too, where its length is not told beforehand. */
    public function testAnUpdateBeyondPostMaxSizeIsRefusedWhereItsLengthIsNotTold(): void
    {
        $server = $this->serveMercure('apache-mod-php', ini: ['post_max_size' => '100K']);
        $update = str_pad('topic=a&data=', 300_000, 'x') . '&private=on';
        $headers = self::bearer(['publish' => ['*']]) + ['Transfer-Encoding' => 'chunked'];

        $chunked = dechex(strlen($update)) . "\r\n$update\r\n0\r\n\r\n";
        $answer = $server->client->request(self::PATH, $headers, 'POST', $chunked);

        self::assertSame(413, $answer->status, $answer->summary());
    }

    public function testWhoSubscribesIsAnsweredAsTheProtocolSays(): void
    {
        $server = $this->serveMercure();
        $mayAll = self::token(['subscribe' => ['*']]);
        foreach (
            [
                'no topic' => ['', 400, []],
                'an empty topic' => ['?topic=', 400, []],
                'more than the site allows' => ['?topic=' . implode('&topic=', range(1, 101)), 400, []],
                'a template of many variables' => ['?topic=' . str_repeat('%7Ba%7D', 17), 400, []],
                'a token that is none' => ['?topic=a', 401, ['Authorization' => 'Bearer x.y.z']],
                'another one' => ['?topic=a&authorization=x.y.z', 401, []],
                'two' => ["?topic=a&authorization=$mayAll&authorization=$mayAll", 401, []],
                'in a cookie' => ['?topic=a', 401, ['Cookie' => 'mercureAuthorization=x']],
                'the header comes first' => ["?topic=a&authorization=$mayAll", 401, ['Authorization' => 'Bearer x.y.z']],
            ] as $what => [$query, $status, $headers]
        ) {
            $answer = $server->client->request(self::PATH . $query, $headers);
            self::assertSame($status, $answer->status, "$what: {$answer->summary()}");
        }
        $head = $server->client->request(self::PATH . '?topic=a', [], 'HEAD');
        self::assertSame([200, 'text/event-stream'], [$head->status, strtok($head->headers['content-type'], ';')]);

        $private = $this->serveMercure('php-s', anonymous: false);
        self::assertSame(401, $private->client->request(self::PATH . '?topic=a')->status);
        $byUrl = $private->client->openOne(self::PATH . "?topic=a&authorization=$mayAll");
        $byCookie = $private->client->openOne(self::PATH . '?topic=a', ['Cookie' => "mercureAuthorization=$mayAll"]);
        self::publish($private, ['topic' => 'a', 'id' => 'urn:1', 'private' => '']);
        $this->assertIds($private, $byUrl, ['urn:1']);
        $this->assertIds($private, $byCookie, ['urn:1']);
    }

    /** Attack: a page of another site has its visitor's browser publish, with the visitor's cookie. */
    public function testACookiePublishesFromPagesOfTheSiteAndOfNamedOriginsOnly(): void
    {
        $server = $this->serveMercure();
        $cookie = ['Cookie' => 'mercureAuthorization=' . self::token(['publish' => ['*']])];
        foreach (
            [
                [401, []],
                [401, ['Origin' => 'https://evil.example']],
                [401, ['Origin' => 'null']],
                [401, ['Sec-Fetch-Site' => 'cross-site']],
                [401, ['Origin' => 'https://reader.example']],
                [200, ['Origin' => 'https://editor.example']],
                [200, ['Origin' => $server->url()]],
                [200, ['Sec-Fetch-Site' => 'same-origin']],
            ] as [$status, $headers]
        ) {
            $answer = $server->client->request(self::PATH, $cookie + $headers, 'POST', 'topic=a');
            self::assertSame($status, $answer->status, json_encode($headers) . $answer->summary());
        }
        $read = $server->client->openOne(self::url('a'), $cookie + ['Origin' => 'https://reader.example']);
        self::assertSame('https://reader.example', $read->response->headers['access-control-allow-origin']);
        self::assertSame('true', $read->response->headers['access-control-allow-credentials']);
        $preflight = $server->client->request(self::PATH, ['Origin' => 'https://reader.example'], 'OPTIONS');
        self::assertSame([204, 'GET, HEAD, POST'], [$preflight->status, $preflight->headers['access-control-allow-methods']]);
    }

    /** @dataProvider servers */
    public function testWhoComesBackGetsWhatWasMissedAndIsToldWhetherAnythingIsMissing(string $name): void
    {
        $server = $this->serveMercure($name);
        foreach (['urn:1' => 'a/1', 'urn:2' => 'b/1', 'urn:3' => 'a/2'] as $id => $topic) {
            self::publish($server, ['topic' => $topic, 'id' => $id] + ($id === 'urn:3' ? ['private' => 'on'] : []));
        }
        $url = self::url('a/{id}');
        $all = self::bearer(['subscribe' => ['*']]);
        foreach (
            [
                [$url, $all + ['Last-Event-ID' => 'urn:1'], 'urn:1', ['urn:3']],
                ["$url&lastEventID=urn:1", $all, 'urn:1', ['urn:3']],
                ["$url&lastEventID=urn:2", $all + ['Last-Event-ID' => 'urn:1'], 'urn:1', ['urn:3']],
                ["$url&lastEventID=earliest", $all, 'earliest', ['urn:1', 'urn:3']],
                ["$url&lastEventID=earliest", [], 'earliest', ['urn:1']],
                ["$url&lastEventID=urn:unknown", [], 'earliest', ['', 'urn:1']],
                [$url, [], null, []],
            ] as $nth => [$path, $headers, $told, $ids]
        ) {
            $stream = $server->client->openOne("$path&topic=end$nth", $headers);
            self::assertSame($told, $stream->response->headers['last-event-id'] ?? null, $path);
            self::publish($server, ['topic' => "end$nth", 'id' => "urn:end$nth"]);
            $this->assertIds($server, $stream, [...$ids, "urn:end$nth"], $path);
            $stream->close();
            $head = $server->client->request($path, $headers, 'HEAD');
            self::assertSame([200, $told], [$head->status, $head->headers['last-event-id'] ?? null], "HEAD $path");
        }
    }

    public function testAStreamEndsWithItsToken(): void
    {
        $server = $this->serveMercure();
        $stream = $server->client->openOne(self::url('a'), self::bearer(['subscribe' => ['*']], ['exp' => time() + 3]));
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20, 'the token is over');
        self::assertSame(0, $server->stats()['streams']['open']);
    }

    public function testTheDoctorFindsNothingWrong(): void
    {
        $server = $this->serveMercure(arguments: 'version: new Sse\Mercure\Standard("https://example.com/m", "https://example.com")');
        $draft = $this->serveMercure();
        $commandLine = $this->commandLine(['sse.idle_exit' => 300, 'sse.history_events' => 100]);
        $examine = static fn (Server $server, string $path): array => array_column(json_decode($commandLine->run(
            CommandLine::sse(),
            ['doctor', $server->url($path), '--json'],
            ['sse.socket' => $server->socket()],
        ), true), 'message', 'id');

        foreach (
            [
                self::url('*') => 'sse-doctor',
                self::url(self::BOOK) => self::BOOK,
                self::url('https://example.com/{kind}/1{?page,size}') => 'https://example.com/sse-doctor/1',
            ] as $path => $topic
        ) {
            self::assertStringContainsString("'" . Name::topic($topic) . "'", $examine($draft, $path)['delivered'] ?? '', $path);
        }
        $exact = $examine($server, self::PATH . '?match=' . rawurlencode(self::BOOK));
        self::assertStringContainsString("'" . Name::topic(self::BOOK) . "'", $exact['delivered'] ?? '');
        $pattern = $examine($server, self::PATH . '?match_urlpattern=' . rawurlencode('https://example.com/books/:id'));
        self::assertArrayHasKey('not-published', $pattern);
    }

    public function testWithoutAHubBothAreUnavailableAndTellNothing(): void
    {
        $server = $this->serveMercure(ini: ['sse.spawn' => 'off', 'sse.timeout' => 200, 'display_errors' => 1]);

        $answers = [
            $server->client->request(self::url('a')),
            $server->client->request(self::url('a'), self::bearer(['publish' => ['*']]), 'POST', 'topic=a'),
        ];

        foreach ($answers as $answer) {
            $told = [$answer->status, $answer->headers['retry-after'] ?? '', $answer->body];
            self::assertSame([503, '2', 'Not available at the moment'], $told);
        }
    }

    public function testWithoutAKeyNobodyGetsIn(): void
    {
        $server = $this->serveMercure();
        $file = "{$server->folder->path}/sse-mercure.php";
        foreach (['<?php return 1;', '<?php return new Sse\Mercure\Endpoint(new Sse\Mercure\Key("short"));'] as $text) {
            file_put_contents($file, $text);
            $answer = $server->client->request(self::url('a'));
            self::assertSame([500, 'Something is wrong on the server; its log says what'], [$answer->status, $answer->body]);
        }
        unlink($file);
        self::assertSame(500, $server->client->request(self::url('a'))->status);
        $server->awaitLog('set MERCURE_JWT_SECRET');
        $environment = ['MERCURE_JWT_SECRET' => self::SECRET, 'MERCURE_CORS_ORIGINS' => 'https://a.example https://b.example'];
        $prepend = '<?php foreach (' . var_export($environment, true) . ' as $n => $v) { $_SERVER[$n] = $v; }';
        file_put_contents("{$server->folder->path}/app/vendor/environment.php", $prepend);
        $loader = "{$server->folder->path}/app/vendor/autoload.php";
        file_put_contents($loader, file_get_contents($loader) . "\nrequire __DIR__ . '/environment.php';");
        self::assertSame(401, $server->client->request(self::url('a'))->status);
        $stream = $server->client->openOne(self::url('a'), self::bearer([]) + ['Origin' => 'https://b.example']);
        self::assertSame('https://b.example', $stream->response->headers['access-control-allow-origin']);
    }

    /**
     * Attack: an sse-mercure.php without `<?php` is sent to every client, its keys included.
     *
     * @dataProvider servers
     */
    public function testNothingOfAFileIsSentThatPhpDoesNotRun(string $name): void
    {
        $server = $this->serveMercure($name);
        $file = "{$server->folder->path}/sse-mercure.php";
        file_put_contents($file, substr((string) file_get_contents($file), strlen('<?php ')));

        foreach (['GET', 'POST', 'PUT'] as $method) {
            $answer = $server->client->request(self::url('a'), [], $method, $method === 'GET' ? '' : 'topic=a');

            self::assertSame([500, 'Something is wrong on the server; its log says what'], [$answer->status, $answer->body]);
        }
        $server->awaitLog("sse-mercure.php has to return an Sse\\Mercure\\Endpoint; does it begin with '<?php'?");
        self::assertStringNotContainsString(self::SECRET, $server->phpLog());
    }

    public function testAVariableThatIsNotSetIsNamedAsTheReason(): void
    {
        $server = $this->serveMercure('nginx-fpm-unix');
        $key = 'new Sse\Mercure\Endpoint(new Sse\Mercure\Key(getenv("MERCURE_JWT_SECRET")))';
        foreach (["<?php return $key;", "<?php declare(strict_types=1); return $key;"] as $text) {
            file_put_contents("{$server->folder->path}/sse-mercure.php", $text);

            self::assertSame(500, $server->client->request(self::url('a'))->status);
        }
        $log = 'the key is empty: is its variable set for the SAPI fpm-fcgi? PHP-FPM clears the environment';
        $server->awaitLog($log);
        self::assertSame(2, substr_count($server->phpLog(), $log));
        self::assertStringNotContainsString('TypeError', $server->phpLog());
    }

    /** The chapter "Trying it" of the manual, as it is written there: whoever copies it sees an update. */
    public function testThePageCanBeTriedAsItIsWritten(): void
    {
        $blocks = Page::blocks('docs/guide/mercure.md', 'Trying it');
        ['php' => [$router], 'sh' => [$serve, $tokens, $subscribe, $publish]] = $blocks;
        $commandLine = $this->commandLine();
        $folder = $commandLine->folder;
        foreach (['public', 'vendor', 'vendor/php-sse', 'vendor/php-sse/php-sse'] as $name) {
            $folder->folder($name);
        }
        foreach (['src', 'endpoints'] as $name) {
            $folder->copy(dirname(__DIR__, 3) . "/php/$name", "vendor/php-sse/php-sse/$name");
        }
        $folder->file('router.php', $router);
        $text = (string) file_get_contents(dirname(__DIR__, 3) . '/docs/guide/mercure.md');
        self::assertSame(1, preg_match('/^```php\n(<\?php\n.*?)^```$/ms', $text, $found));
        $folder->file('sse-mercure.php', $found[1]);
        $port = Port::free();
        $settings = "-d extension={$folder->path}/sse.so -d sse.udp= -d sse.socket={$commandLine->socket()}";
        $start = static fn (string $name, string $code): Process => new Process(
            ['bash', '-c', str_replace(['8080', 'php -S'], [(string) $port, "exec php -n $settings -S"], $code)],
            "{$folder->path}/log/$name.out",
            [],
            $folder->path,
            $name,
        );
        $server = $start('server', $serve);
        try {
            Deadline::until(static fn (): bool => Port::answers($port), 10.0, 'PHP answers', $server->output(...));
            $reader = $start('reader', "$tokens\nexec " . trim($subscribe) . ' -i');
            Deadline::until(
                static fn (): bool => str_contains($reader->output(), 'text/event-stream'),
                10.0,
                'the stream is open',
                $reader->output(...),
            );
            $publisher = $start('publisher', "$tokens\n$publish");
            self::assertSame(0, $publisher->awaitExit(10.0), $publisher->output());
            self::assertMatchesRegularExpression('/urn:uuid:[\da-f-]{36}$/D', $publisher->output());
            Deadline::until(
                static fn (): bool => str_contains($reader->output(), "\ndata: hello\n"),
                10.0,
                'the update arrives',
                $reader->output(...),
            );
            $reader->stop();
        } finally {
            $server->stop();
        }
    }

    public function testWithoutTheExtensionTheEndpointSaysSo(): void
    {
        $server = $this->serveMercure('php-s-polyfill');
        foreach (['GET', 'POST'] as $method) {
            $answer = $server->client->request(self::url('a'), self::bearer(['publish' => ['*']]), $method, 'topic=a');

            self::assertSame(501, $answer->status, $answer->summary());
            self::assertSame('Mercure needs the extension sse: its polyfill has no updates of Mercure', $answer->body);
        }
    }
}
