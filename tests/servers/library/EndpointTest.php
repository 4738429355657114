<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** stream.php and publish.php, as a site has mounted them. */
final class EndpointTest extends EndpointTestCase
{
    private const ALICE = ['X-User' => 'alice'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testAMessageGoesFromPublishToStreamWithWhatTheSiteAddsToIt(string $name): void
    {
        $server = $this->serveSite($name);
        $stream = $server->client->openOne('/sse/stream.php?topics=chat.general,news', self::ALICE);

        $answer = self::send($server, ['topic' => 'chat.general', 'data' => ['text' => 'hi', 'from' => 'root']], self::ALICE);
        $form = $server->client->request(
            '/sse/publish.php',
            self::ALICE,
            'POST',
            http_build_query(['topic' => 'chat.general', 'data' => ['text' => 'by a form'], 'event' => 'said']),
        );

        self::assertSame([200, 200], [$answer->status, $form->status], $form->summary());
        $server->client->awaitEvents($stream, 2);
        self::assertSame(
            ['{"from":"alice","text":"hi"}', '{"from":"alice","text":"by a form"}'],
            $stream->data(),
        );
        self::assertSame('said', $stream->parser->events[1]->name);
        self::assertSame(json_decode($answer->body, true)['id'], $stream->parser->events[0]->id);
    }

    /**
     * Attack: a site file without `<?php` is sent to every client, its keys included.
     *
     * @dataProvider servers
     */
    public function testNothingOfASiteFileIsSentThatPhpDoesNotRun(string $name): void
    {
        $server = $this->serveSite($name, ['display_errors' => 1, 'output_buffering' => 0]);
        $file = "{$server->folder->path}/sse-site.php";
        $site = 'return new Sse\Endpoint\Site(watch: Sse\Policy::patterns("**"), grantKey: "the secret of this file");';
        $texts = [
            "$site\n",
            str_repeat("$site\n", 2000),
            "the secret of this file\n<?php ob_start(); echo 'the secret of this file'; flush(); exit;",
            "the secret of this file\n<?php echo 'the secret of this file'; throw new Exception('of this test');",
            "the secret of this file\n<?php this is no PHP",
        ];
        foreach ($texts as $nth => $text) {
            file_put_contents($file, $text);
            foreach (['stream.php?topics=news', 'publish.php', 'get_sse_config.php'] as $path) {
                $answer = $server->client->request("/sse/$path");
                // exit is an answer of the site's own.
                self::assertSame($nth === 2 ? 200 : 500, $answer->status, "$nth: {$answer->summary()}");
                self::assertStringNotContainsString('secret', $answer->head . $answer->body, "$nth: $path");
            }
        }
        $server->awaitLog("sse-site.php has to return an Sse\\Endpoint\\Site; does it begin with '<?php'?");
        self::assertStringNotContainsString('secret', $server->phpLog());
        file_put_contents($file, "\xEF\xBB\xBF \n<?php $site");
        $stream = $server->client->openOne('/sse/stream.php?topics=news');
        self::assertStringNotContainsString("\xEF\xBB\xBF", $stream->response->head . $stream->response->body);
    }

    public function testALongPollBringsEventsByAPostAndEnds(): void
    {
        $server = $this->serveSite();
        $path = '/sse/stream.php?topics=chat.general&topicsAs=field&longPoll=1';
        $first = $server->client->request($path, self::ALICE, 'POST');
        self::assertSame(1, preg_match('/^cursor: (\S+)$/m', $first->body, $found), $first->summary());

        self::send($server, ['topic' => 'chat.general', 'data' => ['text' => 'hi']], self::ALICE);
        $second = $server->client->request($path . '&lastEventId=' . urlencode($found[1]), self::ALICE, 'POST');

        self::assertStringContainsString('data: {"from":"alice","text":"hi"}', $second->body, $second->summary());
        $foreign = $server->client->request($path, self::ALICE + ['Origin' => 'https://evil.example'], 'POST');
        self::assertSame(403, $foreign->status, $foreign->summary());
    }

    public function testAClientThatAsksForItIsToldTheTopicsAndAnythingElseIsNoMatter(): void
    {
        $server = $this->serveSite();
        $told = $server->client->openOne('/sse/stream.php?topics=chat.*,news&topicsAs=envelope', self::ALICE);
        $plain = $server->client->openOne('/sse/stream.php?topics=chat.*,news&topicsAs=nonsense', self::ALICE);

        self::send($server, ['topic' => 'chat.general', 'data' => ['text' => 'hi']], self::ALICE);
        $server->client->awaitEvents($plain, 1);
        $server->client->awaitEvents($told, 4);

        self::assertSame('stream', $told->parser->events[0]->name);
        $told = array_slice($told->data(), 1);
        [$cursor, $reached, $event] = array_map(static fn (string $data) => json_decode($data, true), $told);
        self::assertSame(['cursor'], array_keys($cursor));
        self::assertSame(['reached' => $cursor['cursor']], $reached);
        self::assertSame(['chat.general'], $event['topics']);
        self::assertSame($event['data'], $plain->data()[0]);
    }

    public function testAClientIsToldWhoIsThereAndGetsLastValuesIfItAsksForThem(): void
    {
        $server = $this->serveSite('nginx-fpm-unix');
        $server->publish('chat.general', 'the last value', ['retain' => true]);
        $path = '/sse/stream.php?topics=chat.general&topicsAs=field&retained=';

        $alice = $server->client->openOne("{$path}1", self::ALICE + ['X-Present' => '1']);
        $server->client->awaitEvents($alice, 3);
        $bob = $server->client->openOne("{$path}0", ['X-User' => 'bob', 'X-Present' => '1']);
        $server->client->awaitEvents($alice, 4);
        $server->client->awaitEvents($bob, 2);

        $names = static fn (Stream $stream): array => array_map(static fn ($event) => $event->name, $stream->parser->events);
        self::assertSame(['stream', 'message', 'presence.list', 'presence.join'], $names($alice));
        self::assertSame(['stream', 'presence.list'], $names($bob));
        self::assertSame('the last value', $alice->data()[1]);
        self::assertSame('bob', json_decode($alice->data()[3], true)['members'][0]['id']);
        $long = 'chat.' . str_repeat('a', 241);
        $refused = $server->client->request("/sse/stream.php?topics=$long", self::ALICE + ['X-Present' => '1']);
        self::assertSame([400, '{"error":"A topic with presence has 245 bytes at most"}'], [$refused->status, $refused->body]);
        self::assertSame('', $server->phpLog());
    }

    public function testWhatThePolicyDoesNotNameIsRefused(): void
    {
        $server = $this->serveSite();
        $asks = [
            ['news', [], 200], ['chat.general', [], 403], ['**', [], 403], ['*', [], 403], ['news,secret', [], 403],
            ['chat.general', self::ALICE, 200], ['chat.*', self::ALICE, 200], ['chat.**', self::ALICE, 403],
            ['chat.a.b', self::ALICE, 403], ['*.general', self::ALICE, 403], ['users.alice.**', self::ALICE, 200],
            ['users.alice.mail', self::ALICE, 200], ['users.bob.mail', self::ALICE, 403], ['users.*.mail', self::ALICE, 403],
            ['users.**', self::ALICE, 403], ['users.alice', self::ALICE, 403], ['**', ['X-User' => 'root'], 200],
            // A user who is called like a pattern.
            ['users.bob.mail', ['X-User' => '*'], 403], ['users.*.mail', ['X-User' => '*'], 403],
            ['users.%252A.mail', ['X-User' => '*'], 200], ['users.a.b.mail', ['X-User' => 'a.b'], 403],
            ['', [], 400], ['a..b', [], 400], ['a%20b', [], 400], ['news%0A', [], 400], ['%FF', [], 400], ['n*', [], 400],
            [str_repeat('a.', 16) . '*', [], 400],
        ];

        foreach ($asks as [$topics, $headers, $status]) {
            $stream = $server->client->open("/sse/stream.php?topics=$topics", $headers);
            $server->client->await(
                $stream,
                static fn (Stream $stream): bool => $stream->isOpen() || $stream->ended,
                10.0,
                "$topics is answered",
            );
            self::assertSame($status, $stream->response->status, "$topics: {$stream->summary()}");
            $stream->close();
        }
        self::assertSame(400, $server->client->request('/sse/stream.php')->status);
        self::assertSame(200, $server->client->openOne('/sse/stream.php?topics[]=news')->response->status);
        self::assertSame(405, $server->client->request('/sse/stream.php?topics=news', [], 'DELETE')->status);
        $many = implode(',', array_map(static fn (int $i): string => "chat.$i", range(1, 101)));
        self::assertSame(400, $server->client->request("/sse/stream.php?topics=$many", self::ALICE)->status);
    }

    /** @return array<string, array{string}> the header X-Everything of sse-site.php */
    public static function policies(): array
    {
        return ['deep' => ['deep'], 'wide' => ['wide'], 'ask' => ['asked'], 'patterns' => ['asked with patterns'], 'named' => ['named']];
    }

    /**
     * Attack: where everything may be watched, a client names the hub's own topics: with `$mercure.allow.*` it would get the private
     * updates of a Mercure site, and with `$presence.**` see who is where.
     *
     * @dataProvider policies
     */
    public function testWhoMayWatchEverythingMayNotWatchTheHubsOwnTopics(string $policy): void
    {
        $server = $this->serveSite();
        $headers = ['X-Everything' => $policy] + self::ALICE;
        $stream = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field', $headers);
        $id = self::idOf($server, $stream);
        $mercure = '$mercure.match.%2A,$mercure.allow.%2A';
        $refused = [$mercure, "news,$mercure", '$mercure.match.%2A', '$mercure.allow.%2A', '$presence.**', '$presence.*', '$presence.chat'];
        $statuses = [];
        foreach ($refused as $topics) {
            $asked = $server->client->open('/sse/stream.php?topics=' . rawurlencode($topics), $headers);
            $server->client->await($asked, static fn (Stream $one): bool => $one->isOpen() || $one->ended, 10.0, "$topics is answered");
            $form = http_build_query(['stream' => $id, 'add' => $topics]);
            $added = $server->client->request('/sse/stream.php', $headers, 'POST', $form);
            $statuses[$topics] = [$asked->response->status, $added->status];
        }

        $server->publish('$mercure.private.secret', 'a private update');
        $server->publish('news', 'for all');

        self::assertSame('for all', $server->client->awaitEvents($stream, 2)[1]);
        self::assertSame(array_fill_keys($refused, [403, 403]), $statuses);
    }

    /** A site that names one of the hub's own topics has it watched; only Mercure's never. */
    public function testATopicOfPresenceMayBeWatchedIfItIsNamed(): void
    {
        $server = $this->serveSite();
        $named = ['X-Everything' => 'named'] + self::ALICE;

        self::assertTrue($server->client->openOne('/sse/stream.php?topics=$presence.room', $named)->isOpen());
    }

    /** Attack: a page publishes an update of Mercure, past its tokens, where it may publish everything. */
    public function testWhoMayPublishEverythingPublishesNoUpdatesOfMercure(): void
    {
        $server = $this->serveSite();
        foreach (['deep', 'wide', 'asked', 'asked with patterns'] as $policy) {
            $message = ['topic' => '$mercure.public.a', 'data' => ['text' => 'x']];
            self::assertSame(403, self::send($server, $message, ['X-Everything' => $policy] + self::ALICE)->status, $policy);
        }
    }

    public function testAStreamEndsWhenItsClientMayNotHaveItAnyMore(): void
    {
        $server = $this->serveSite();
        $stream = $server->client->openOne('/sse/stream.php?topics=news');

        $server->folder->file('banned', '');

        self::awaitEnd($server, $stream);
        self::assertSame(403, $server->client->request('/sse/stream.php?topics=news')->status);
    }

    public function testWhatIsNotForThisClientToPublishIsRefused(): void
    {
        $server = $this->serveSite();
        $stream = $server->client->openOne('/sse/stream.php?topics=**', ['X-User' => 'root']);
        $data = ['text' => 'x'];
        $asks = [
            [['topic' => 'chat.general', 'data' => $data], [], 403],
            [['topic' => 'news', 'data' => $data], self::ALICE, 403],
            [['topic' => 'chat.*', 'data' => $data], self::ALICE, 403],
            [['topic' => 'chat.a b', 'data' => $data], self::ALICE, 403],
            [['topic' => ['chat.a'], 'data' => $data], self::ALICE, 400],
            [['topic' => 'chat.a'], self::ALICE, 400],
            [[], self::ALICE, 400],
            [['topic' => 'chat.a', 'data' => ['no text']], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => "a\nb"], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => "a\n"], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => 'gap'], self::ALICE, 422],
            // Attack: an EventSource sees no topic, and would take it for the hub's word.
            [['topic' => 'chat.a', 'data' => $data, 'event' => 'stream'], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => 'presence.join'], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => ['text' => str_repeat('x', 1_100_000)]], self::ALICE, 422],
            [['topic' => 'guestbook', 'data' => $data], [], 200],
        ];

        foreach ($asks as [$message, $headers, $status]) {
            $answer = self::send($server, $message, $headers);
            self::assertSame($status, $answer->status, substr(json_encode($message), 0, 100) . $answer->summary());
        }
        self::assertSame(405, $server->client->request('/sse/publish.php')->status);
        $broken = $server->client->request('/sse/publish.php', ['Content-Type' => 'application/json'], 'POST', '{"topic');
        self::assertSame(400, $broken->status);
        $server->client->awaitEvents($stream, 1);
        self::assertSame(['{"from":"guest","text":"x"}'], $stream->data());
    }

    public function testAPlainCloneNeedsNoComposer(): void
    {
        $server = $this->serve('php-s', [], ['modules' => 'ctype,mbstring']);
        $library = dirname(__DIR__, 3) . '/php';
        $server->folder->folder('clone');
        $server->folder->folder('clone/php');
        $server->folder->copy("$library/src", 'clone/php/src');
        $server->folder->copy("$library/endpoints", 'clone/php/endpoints');
        $server->folder->copy(__DIR__ . '/site/sse-site.php', 'sse-site.php');
        $server->folder->folder('app/sse');
        foreach (['stream', 'publish'] as $name) {
            $require = "<?php require dirname(__DIR__, 2) . '/clone/php/endpoints/$name.php';";
            $server->folder->file("app/sse/$name.php", $require);
        }
        $stream = $server->client->openOne('/sse/stream.php?topics=chat.general', self::ALICE);

        $answer = self::send($server, ['topic' => 'chat.general', 'data' => ['text' => 'hi']], self::ALICE);

        self::assertSame(200, $answer->status, $answer->summary());
        self::assertSame(['{"from":"alice","text":"hi"}'], $server->client->awaitEvents($stream, 1));
    }

    /** Attack: the request of a stream is kept, so that one that can't be would stay in its worker. */
    public function testARequestThatIsTooLargeToBeKeptIsRefused(): void
    {
        $server = $this->serveSite('php-s');

        $answer = $server->client->request('/sse/stream.php?topics=news', [], 'GET', str_repeat('b', 65_537));

        self::assertSame(413, $answer->status, $answer->summary());
        self::assertSame(200, $server->client->openOne('/sse/stream.php?topics=news')->response->status);
    }

    /** @dataProvider servers */
    public function testAMessageThatIsTooLongIsRefused(string $name): void
    {
        $server = $this->serveSite($name, ['post_max_size' => '16M', 'sse.max_event_size' => 16 << 20]);
        $long = str_repeat('x', 4 << 20);
        $form = http_build_query(['topic' => 'chat.general', 'stream' => 'x', 'data' => ['text' => $long]]);

        $answers = [
            self::send($server, ['topic' => 'chat.general', 'data' => ['text' => $long]], self::ALICE),
            $server->client->request('/sse/publish.php', self::ALICE, 'POST', $form),
            $server->client->request('/sse/stream.php', self::ALICE, 'POST', $form),
        ];

        foreach ($answers as $answer) {
            self::assertSame([413, '{"error":"A body has 4194304 bytes at most"}'], [$answer->status, $answer->body]);
        }
    }

    /** PHP leaves out what comes after so many fields: a message would be published in part, or topics stay that were to go. */
    public function testAFormOfWhichPhpLeavesFieldsOutIsRefused(): void
    {
        $server = $this->serveSite('php-s', ['max_input_vars' => 8]);
        $parts = ['data' => array_fill(0, 8, 'x'), 'topic' => 'chat.general', 'stream' => 'x'];
        $forms = [];
        foreach (['topic', 'stream'] as $first) {
            $forms[] = http_build_query([$first => $parts[$first]] + $parts);
        }

        $answers = [
            $server->client->request('/sse/publish.php', self::ALICE, 'POST', $forms[0]),
            $server->client->request('/sse/stream.php', self::ALICE, 'POST', $forms[1]),
        ];

        foreach ($answers as $answer) {
            self::assertSame([413, '{"error":"A form has 8 fields at most"}'], [$answer->status, $answer->body]);
        }
        self::assertSame(0, $server->stats()['published'] ?? 0);
    }

    public function testWithoutAHubBothAreUnavailableAndTellNothing(): void
    {
        $server = $this->serveSite('php-s', ['sse.spawn' => 'off', 'sse.timeout' => 200, 'display_errors' => 1]);

        $answers = [
            $server->client->request('/sse/stream.php?topics=news'),
            self::send($server, ['topic' => 'guestbook', 'data' => ['text' => 'x']]),
        ];

        foreach ($answers as $answer) {
            self::assertSame([503, '2'], [$answer->status, $answer->headers['retry-after']], $answer->summary());
            self::assertStringNotContainsString($server->hubFolder, $answer->body);
        }
    }

    /** The attack: whoever may ask fills the disk with lines of the log. */
    public function testManyRequestsWithoutAHubAreOneLineOfTheLog(): void
    {
        $server = $this->serveSite('php-s', ['sse.spawn' => 'off', 'sse.timeout' => 200]);

        for ($request = 0; $request < 5; $request++) {
            self::assertSame(503, $server->client->request('/sse/stream.php?topics=news')->status);
            self::assertSame(503, self::send($server, ['topic' => 'guestbook', 'data' => ['text' => 'x']])->status);
        }

        $counts = array_map(fn (string $what): int => substr_count($server->phpLog(), $what), ['no hub ', 'publish.php: no hub ']);
        self::assertSame([2, 1], $counts, $server->phpLog());
    }

    public function testWithoutASiteNothingIsOpenAndNothingIsTold(): void
    {
        $server = $this->serveSite('php-s', ['display_errors' => 1]);
        unlink("{$server->folder->path}/sse-site.php");

        foreach (['/sse/stream.php?topics=news', '/sse/publish.php', '/sse/get_sse_config.php'] as $path) {
            $answer = $server->client->request($path);
            self::assertSame(500, $answer->status);
            self::assertSame('{"error":"Something is wrong on the server; its log says what"}', $answer->body);
        }
        $server->awaitLog('sse-site.php, which says who may watch and publish what');
    }
}
