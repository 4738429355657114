<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PHPUnit\Framework\TestCase;
use Sse\Endpoint\Answer;
use Sse\Endpoint\Request;
use Sse\Endpoint\Site;
use Sse\Endpoint\StreamEndpoint;
use Sse\Policy;
use Sse\Stream;

/** What a URL of stream.php can make a site do. */
final class LibraryStreamEndpointTest extends TestCase
{
    private int $asked = 0;

    // Attack: a policy that asks a database, and a URL of 10 KB that names 2,000 topics.
    public function testTopicsAreCountedBeforeThePolicyIsAsked(): void
    {
        $answer = $this->respond(implode(',', range(1, 2000)));

        self::assertInstanceOf(Answer::class, $answer);
        self::assertSame(400, $answer->status);
        self::assertStringContainsString('2000 topics are too many; at most 100 are allowed', $answer->body);
        self::assertSame(0, $this->asked);
    }

    public function testEachTopicThatMayBeWatchedIsAskedForOnce(): void
    {
        self::assertInstanceOf(Stream::class, $this->respond(implode(',', [...range(1, 100), ...range(1, 100)])));
        self::assertSame(100, $this->asked);
    }

    private function respond(string $topics): Answer|Stream
    {
        $policy = Policy::ask(function (): bool {
            $this->asked++;

            return true;
        });

        return (new StreamEndpoint(new Site(watch: $policy)))->respond(new Request('GET', ['topics' => $topics]));
    }
}
