<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Soak\Order;
use PhpSse\Tests\Soak\Verifier;
use PHPUnit\Framework\TestCase;

/** What judges `make soak` finds what is planted, and nothing else. */
final class SoakVerifierTest extends TestCase
{
    /** Two publishers, one event with an id of its own, one that threw but arrived, one that threw and did not. */
    private const PUBLISHERS = [
        'a' => "10 try a-1 t  - h1 ack\n20 ok a-1 1-0\n30 try a-2 t own/a-2 - h2 ack\n40 ok a-2 own/a-2\n"
            . "70 try a-3 t,u  - h3 ack\n80 ok a-3 3-0\n90 try a-4 t  - h4 ack\n91 threw a-4 SseUnavailable late",
        'b' => "50 try b-1 t  - h5 ack\n60 ok b-1 2-0\n61 try b-2 u  - h6 ack\n62 threw b-2 SseUnavailable gone\n"
            . "100 try b-3 t  - h7 ack\n110 ok b-3 5-0\n120 try b-4 u  - h8 ack\n130 ok b-4 6-0",
    ];
    private const ALL = "1 connect 0-0\n2 open\n21 event 1-0 a-1 h1\n41 event own/a-2 a-2 h2\n61 event 2-0 b-1 h5\n"
        . "81 event 3-0 a-3 h3\n92 event 4-0 a-4 h4\n111 event 5-0 b-3 h7\n131 event 6-0 b-4 h8\n132 finished";
    /** One that leaves and comes back. */
    private const TWICE = "1 connect 0-0\n2 open\n21 event 1-0 a-1 h1\n41 event own/a-2 a-2 h2\n42 closed drop\n"
        . "43 connect own/a-2\n44 open\n61 event 2-0 b-1 h5\n81 event 3-0 a-3 h3\n92 event 4-0 a-4 h4\n"
        . "111 event 5-0 b-3 h7\n132 finished";

    public function testNothingIsFoundWhereAllIsWell(): void
    {
        $verifier = $this->verify([]);

        self::assertSame([], array_column($verifier->violations, 'what'));
        self::assertSame([6, 2, 13, 1], [
            $verifier->counts->accepted,
            $verifier->counts->threw,
            $verifier->counts->delivered,
            $verifier->counts->resumed,
        ]);
    }

    public function testAReaderMayGoBackLoadItsPageAnewOrComeWithoutAnId(): void
    {
        $back = str_replace("42 closed drop\n43 connect own/a-2", "42 closed back\n42 back 1-0\n43 connect 1-0", self::TWICE);
        $back = str_replace('44 open', "44 open\n45 event own/a-2 a-2 h2", $back);
        $page = str_replace("42 closed drop\n43 connect own/a-2", "42 closed page\n62 asks\n63 page 2-0\n64 connect 2-0", self::TWICE);
        $page = str_replace("44 open\n61 event 2-0 b-1 h5", '65 open', $page);
        // The page's id may be that event's place, or one before it.
        $during = str_replace(
            "41 event own/a-2 a-2 h2\n42 closed drop\n43 connect own/a-2\n44 open",
            "22 closed page\n25 asks\n35 page 1-1\n36 connect 1-1\n37 open",
            self::TWICE,
        );
        $afresh = str_replace("42 closed drop\n43 connect own/a-2", "42 closed afresh\n62 afresh\n63 connect ", self::TWICE);
        $afresh = str_replace("44 open\n61 event 2-0 b-1 h5", '65 open', $afresh);

        foreach ([$back, $page, $during, $afresh] as $journal) {
            self::assertSame([], array_column($this->verify(['twice' => $journal])->violations, 'what'), $journal);
        }
    }

    /** @return array<string, array{string, string, string, string}> kind, reader, what is replaced and by what */
    public static function planted(): array
    {
        return [
            'an event is lost' => ['lost', 'twice', "61 event 2-0 b-1 h5\n", ''],
            'one with an id of its own is lost' => [
                'lost',
                'twice',
                "41 event own/a-2 a-2 h2\n42 closed drop\n43 connect own/a-2",
                "42 closed drop\n43 connect 1-0",
            ],
            'one with an id of its own that was published after the page is lost' => [
                'lost',
                'twice',
                "41 event own/a-2 a-2 h2\n42 closed drop\n43 connect own/a-2\n44 open",
                "22 closed page\n25 asks\n26 page 1-1\n27 connect 1-1\n28 open",
            ],
            'the first is lost' => ['lost', 'twice', "21 event 1-0 a-1 h1\n", ''],
            'the last is lost' => ['lost', 'twice', "111 event 5-0 b-3 h7\n", ''],
            'one is lost between two connections' => ['lost', 'twice', "44 open\n61 event 2-0 b-1 h5", '44 open'],
            'one that threw comes to some only' => ['lost', 'twice', "92 event 4-0 a-4 h4\n", ''],
            'an event comes twice' => ['doubled', 'twice', '81 event', "62 event 2-0 b-1 h5\n81 event"],
            'one comes again on the next connection' => ['doubled', 'twice', '44 open', "44 open\n45 event own/a-2 a-2 h2"],
            'one that threw comes twice' => ['doubled', 'all', '111 event', "93 event 4-1 a-4 h4\n111 event"],
            'two change places' => [
                'reordered',
                'twice',
                "61 event 2-0 b-1 h5\n81 event 3-0 a-3 h3",
                "61 event 3-0 a-3 h3\n81 event 2-0 b-1 h5",
            ],
            'readers see different orders' => [
                'reordered',
                'twice',
                "21 event 1-0 a-1 h1\n41 event own/a-2 a-2 h2\n42 closed drop\n43 connect own/a-2",
                "21 event own/a-2 a-2 h2\n41 event 1-0 a-1 h1\n42 closed drop\n43 connect 1-0",
            ],
            'an event of another topic' => ['foreign', 'twice', '132 finished', "131 event 6-0 b-4 h8\n132 finished"],
            'an event that nobody published' => ['foreign', 'twice', '132 finished', "131 event 7-0 c-1 h8\n132 finished"],
            'other data' => ['changed', 'twice', 'a-3 h3', 'a-3 h0'],
            'another id' => ['changed', 'all', '5-0 b-3', '5-1 b-3'],
            'a gap without a reason' => ['gap', 'twice', '44 open', "44 open\n45 gap {\"requested\":\"own/a-2\",\"oldest\":null}"],
            'it does not get to the end' => ['unfinished', 'twice', "\n132 finished", ''],
            'an old event without being asked for' => [
                'early',
                'twice',
                "42 closed drop\n43 connect own/a-2\n44 open\n",
                "42 closed afresh\n62 afresh\n63 connect \n64 open\n",
            ],
        ];
    }

    /** @dataProvider planted */
    public function testWhatIsPlantedIsFound(string $kind, string $reader, string $what, string $by): void
    {
        $journal = constant('self::' . strtoupper($reader));
        self::assertStringContainsString($what, $journal);

        $verifier = $this->verify([$reader => str_replace($what, $by, $journal)]);

        $told = implode("\n", array_column($verifier->violations, 'what'));
        self::assertContains($kind, array_column($verifier->violations, 'kind'), $told);
    }

    public function testAGapExcusesTheHoleThatItStandsInWhereSomethingHasHappened(): void
    {
        $hole = str_replace("44 open\n61 event 2-0 b-1 h5", "44 open\n70 gap {\"requested\":\"own/a-2\"}", self::TWICE);

        self::assertSame([], $this->verify(['twice' => $hole], excused: true)->violations);
        self::assertSame(['gap'], array_column($this->verify(['twice' => $hole])->violations, 'kind'));
        $elsewhere = str_replace('70 gap', '99 nothing', str_replace("111 event", "100 gap {}\n111 event", $hole));
        self::assertSame(['lost'], array_column($this->verify(['twice' => $elsewhere], excused: true)->violations, 'kind'));
    }

    public function testAnAcceptedEventThatNobodyHasSeenIsFound(): void
    {
        foreach (['', 'own/a-9'] as $id) {
            $lines = "65 try a-9 t $id - h9 ack\n66 ok a-9 " . ($id ?: '2-5');
            $publishers = ['a' => str_replace('70 try', "$lines\n70 try", self::PUBLISHERS['a'])] + self::PUBLISHERS;

            $verifier = $this->verify([], $publishers);

            self::assertSame(['lost', 'lost'], array_column($verifier->violations, 'kind'), $id);
        }
    }

    public function testAPublishersEventsStayInOrder(): void
    {
        $publishers = ['b' => str_replace(['ok b-1 2-0', 'ok b-3 5-0'], ['ok b-1 5-0', 'ok b-3 2-0'], self::PUBLISHERS['b'])];
        $swap = static fn (string $journal): string => strtr($journal, ['2-0 b-1 h5' => '2-0 b-3 h7', '5-0 b-3 h7' => '5-0 b-1 h5']);

        $verifier = $this->verify(['all' => $swap(self::ALL), 'twice' => $swap(self::TWICE)], $publishers + self::PUBLISHERS);

        self::assertSame(['reordered'], array_unique(array_column($verifier->violations, 'kind')));
    }

    public function testWhatARequestThatFailedHasHeldBackMustNotCome(): void
    {
        $publishers = ['a' => str_replace('91 threw a-4 SseUnavailable late', '91 dropped a-4', self::PUBLISHERS['a'])];

        $verifier = $this->verify([], $publishers + self::PUBLISHERS);

        self::assertSame(['dropped'], array_unique(array_column($verifier->violations, 'kind')));
    }

    public function testTheFileHasAllThatWasAcceptedAndNothingTwice(): void
    {
        $rows = [['1-0', '1-0', 'a-1'], ['1-5', 'own/a-2', 'a-2'], ['2-0', '2-0', 'b-1'], ['3-0', '3-0', 'a-3'],
            ['4-0', '4-0', 'a-4'], ['5-0', '5-0', 'b-3'], ['6-0', '6-0', 'b-4']];
        self::assertSame([], $this->verify([], file: $rows)->violations);

        $kinds = fn (array $rows): array => array_unique(array_column($this->verify([], file: $rows)->violations, 'kind'));
        self::assertSame(['lost'], $kinds(array_slice($rows, 1)));
        self::assertSame(['doubled'], $kinds([...$rows, ['7-0', '7-0', 'a-4']]));
        self::assertSame(['foreign'], $kinds([...$rows, ['7-0', '7-0', 'a-99']]));
        // Written, and neither answered nor delivered: those that come later must get it.
        self::assertSame(['lost'], $kinds([...array_slice($rows, 0, 3), ['2-5', '2-5', 'b-2'], ...array_slice($rows, 3)]));
    }

    public function testAnEventThatDoesNotComeForLongIsFound(): void
    {
        $late = str_replace(
            "42 closed drop\n43 connect own/a-2\n44",
            "40000000000 closed drop\n40000000001 connect own/a-2\n40000000002",
            self::TWICE,
        );

        self::assertSame(['late'], array_unique(array_column($this->verify(['twice' => $late])->violations, 'kind')));
    }

    /** After a gap it may be older than what came before, but not than what was known when it was published. */
    public function testAnEventWithAnIdOfItsOwnAfterAGapIsNotTakenForOlderThanItCanBe(): void
    {
        $publishers = [
            'a' => "10 try a-1 t  - h1 ack\n20 ok a-1 1-0\n30 try a-2 t  - h2 ack\n40 ok a-2 2-0\n50 try a-3 t  - h3 ack\n60 ok a-3 3-0\n"
                . "90 try a-4 t  - h4 ack\n95 ok a-4 5-0",
            'b' => "%d try b-1 t own/b-1 - h5 async\n71 sent b-1",
        ];
        $reader = "1 connect 0-0\n2 open\n21 event 1-0 a-1 h1\n41 event 2-0 a-2 h2\n%d event 3-0 a-3 h3\n75 closed killed\n76 connect 3-0\n"
            . "77 open\n80 gap {}\n81 event own/b-1 b-1 h5\n96 event 5-0 a-4 h4\n97 finished";
        // Tried when a-3 was known, or at the same time: then it may have come before it or after it.
        foreach ([[70, 61], [55, 75]] as [$tried, $seen]) {
            $verifier = new Verifier(static fn (): bool => true, repeats: true);
            foreach ($publishers as $name => $journal) {
                $verifier->addPublisher($name, self::lines(sprintf($journal, $tried)));
            }
            foreach (['one', 'other'] as $name) {
                $verifier->addReader($name, ['**'], self::lines(sprintf($reader, $seen)));
            }
            $verifier->verify();

            self::assertSame([], array_column($verifier->violations, 'what'));
        }
    }

    public function testAnOrderAgreesWithEveryChainOrNamesWhatContradicts(): void
    {
        $order = new Order([1 => 10, 2 => 0, 3 => 30, 4 => 0], [[1, 2, 3], [4, 2]]);
        self::assertSame([4 => 0, 1 => 1, 2 => 2, 3 => 3], $order->places);
        self::assertSame([], $order->contradicting);

        self::assertSame([1, 2], (new Order([1 => 0, 2 => 0], [[1, 2], [2, 1]]))->contradicting);
    }

    /**
     * @param array<string, string> $readers journals in place of the good ones
     * @param array<string, string> $publishers
     * @param null|list<array{string, string, string}> $file
     */
    private function verify(array $readers, array $publishers = self::PUBLISHERS, bool $excused = false, ?array $file = null): Verifier
    {
        $verifier = new Verifier(static fn (): bool => $excused);
        foreach ($publishers as $name => $journal) {
            $verifier->addPublisher($name, self::lines($journal));
        }
        if ($file !== null) {
            $verifier->addFile($file);
        }
        foreach ($readers + ['all' => self::ALL, 'twice' => self::TWICE] as $name => $journal) {
            $verifier->addReader($name, $name === 'all' ? ['**'] : ['t'], self::lines($journal));
        }
        $verifier->verify();

        return $verifier;
    }

    /** @return list<array{int, string, ...}> */
    private static function lines(string $journal): array
    {
        return array_map(static function (string $line): array {
            $fields = explode(' ', $line);

            return [(int) $fields[0], ...array_slice($fields, 1)];
        }, explode("\n", $journal));
    }
}
