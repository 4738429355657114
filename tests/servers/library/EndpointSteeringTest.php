<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;
use Sse\Grant;

/** stream.php is posted what an open stream is to watch from now on. */
final class EndpointSteeringTest extends EndpointTestCase
{
    private const ALICE = ['X-User' => 'alice'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testAnOpenStreamGetsOtherTopicsFromItsOwnClientIfThePolicyNamesThem(string $name): void
    {
        $server = $this->serveSite($name);
        $alice = $server->client->openOne('/sse/stream.php?topics=chat.a,chat.b&topicsAs=field', self::ALICE);
        $id = self::idOf($server, $alice);
        $guest = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field');
        $guests = self::idOf($server, $guest);
        $bob = ['X-User' => 'bob'];
        $asks = [
            [['stream' => $id, 'add' => 'users.bob.mail'], self::ALICE, 403],
            [['stream' => $id, 'add' => 'chat.c,secret'], self::ALICE, 403],
            [['stream' => $id, 'add' => '**'], self::ALICE, 403],
            [['stream' => $id, 'add' => 'a..b'], self::ALICE, 400],
            [['stream' => $id, 'add' => implode(',', range(1, 101))], self::ALICE, 400],
            [['stream' => $id, 'remove' => 'chat.a,chat.b'], self::ALICE, 400],
            // Attack: somebody who has seen the id brings what they may watch into the stream of another one, or ends its topics.
            [['stream' => $id, 'add' => 'users.bob.mail'], $bob, 409],
            [['stream' => $id, 'remove' => 'chat.a'], $bob, 409],
            [['stream' => $id, 'add' => 'news'], [], 409],
            [['stream' => $guests, 'add' => 'chat.c'], self::ALICE, 409],
            [['stream' => $guests, 'add' => 'chat.c'], [], 403],
            [['stream' => 'forged', 'add' => 'chat.c'], self::ALICE, 409],
            [['stream' => ['x' => 'y'], 'add' => 'chat.c'], self::ALICE, 409],
            [['stream' => $id, 'add' => 'chat.c'], self::ALICE + ['Origin' => 'https://evil.example'], 403],
            [['stream' => $id, 'add' => 'chat.c', 'remove' => 'chat.b'], self::ALICE, 200],
        ];
        foreach ($asks as [$form, $headers, $status]) {
            $answer = $server->client->request('/sse/stream.php', $headers, 'POST', http_build_query($form));
            self::assertSame($status, $answer->status, json_encode([$form, $headers]) . $answer->summary());
        }

        self::assertIsString(json_decode($answer->body, true)['cursor'] ?? null, $answer->summary());
        foreach (['chat.b', 'users.bob.mail', 'news', 'chat.c', 'chat.a'] as $topic) {
            $server->publish($topic, "on $topic");
        }
        self::assertSame(['on chat.c', 'on chat.a'], array_slice($server->client->awaitEvents($alice, 3), 1));
        self::assertSame(['on news'], array_slice($server->client->awaitEvents($guest, 2), 1));
    }

    /**
     * Attack: a topic is added to a stream while it is allowed, and watched for ever, as the stream's request does not name it.
     *
     * @dataProvider servers
     */
    public function testATopicThatWasAddedIsAskedAboutAgainAsAnyOther(string $name): void
    {
        $server = $this->serveSite($name);
        $stream = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field', self::ALICE);
        $id = self::idOf($server, $stream);
        $form = http_build_query(['stream' => $id, 'add' => 'chat.a']);
        $answer = $server->client->request('/sse/stream.php', self::ALICE, 'POST', $form);
        self::assertSame(200, $answer->status, $answer->summary());
        $asked = static fn (): int => $server->stats()['renders']['done'];
        $before = $asked();
        Deadline::until(fn (): bool => $asked() >= $before + 2, 15.0, 'it was asked about twice');
        $server->publish('chat.a', 'still there');
        self::assertSame('still there', $server->client->awaitEvents($stream, 2)[1]);

        $server->folder->file('no-chat', '');

        self::awaitEnd($server, $stream);
    }

    /** A grant allows its topics for as long as it lasts, which the stream's request must know. */
    public function testWhatOnlyAGrantAllowsTakesANewStream(): void
    {
        $server = $this->serveSite();
        $bearer = ['Authorization' => 'Bearer ' . Grant::sign(['orders.42'], 60, self::KEY)];
        $stream = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field', self::ALICE);
        $form = http_build_query(['stream' => self::idOf($server, $stream), 'add' => 'orders.42']);

        $answers = [
            $server->client->request('/sse/stream.php', self::ALICE + $bearer, 'POST', $form),
            $server->client->request('/sse/stream.php', self::ALICE, 'POST', $form),
        ];

        self::assertSame([409, 403], [$answers[0]->status, $answers[1]->status], $answers[0]->summary());
    }

    public function testAUserWithoutANameIsNobody(): void
    {
        $server = $this->serveSite();
        $stream = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field', ['X-User' => '']);
        $form = http_build_query(['stream' => self::idOf($server, $stream), 'add' => 'chat.a']);

        self::assertSame(200, $server->client->request('/sse/stream.php', ['X-User' => ''], 'POST', $form)->status);
    }
}
