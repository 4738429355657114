<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Sse\CrudApi;
use Sse\CrudApi\Controller;
use Sse\CrudApi\Scope;

/** The settings that a PHP-CRUD-API gets; for what it does with them, see the tests with the real one. */
final class LibraryCrudApiTest extends TestCase
{
    private const SETTINGS = [
        'database' => 'shop',
        'middlewares' => 'cors,dbAuth',
        'dbAuth.mode' => 'required',
        'customControllers' => 'Shop\Prices',
        'cachePath' => '/var/cache/shop',
    ];

    /** @var array<string, mixed> */
    private array $server;

    protected function setUp(): void
    {
        $this->server = $_SERVER;
    }

    protected function tearDown(): void
    {
        $_SERVER = $this->server;
        putenv('PHP_CRUD_API_MIDDLEWARES');
        putenv('PHP_CRUD_API_CUSTOM_CONTROLLERS');
    }

    public function testAllThatTheSiteHasStaysAsItIs(): void
    {
        $live = CrudApi::live(self::SETTINGS);

        self::assertSame('Shop\Prices,' . Controller::class, $live['customControllers']);
        unset($live['customControllers']);
        self::assertEquals(array_diff_key(self::SETTINGS, ['customControllers' => 1]), $live);
    }

    public function testWhatTheEnvironmentReplacesIsKeptToo(): void
    {
        putenv('PHP_CRUD_API_MIDDLEWARES=cors,apiKeyAuth');
        putenv('PHP_CRUD_API_CUSTOM_CONTROLLERS=Shop\Stock');

        $live = CrudApi::live(self::SETTINGS);

        self::assertSame('cors,apiKeyAuth', $live['middlewares']);
        self::assertSame('Shop\Stock,' . Controller::class, $live['customControllers']);
        // Else it would replace this, too.
        self::assertFalse(getenv('PHP_CRUD_API_CUSTOM_CONTROLLERS', true));
    }

    /** @return list<array{string, string, bool}> method, path, whether it asks for a stream */
    public static function requests(): array
    {
        return [
            ['GET', '/sse/records/posts', true],
            ['GET', '/api.php/sse/records/posts/42?include=id', true],
            ['GET', '/api.php/records/posts', false],
            ['GET', '/api.php/records/posts?x=/sse/records/posts', false],
            ['POST', '/api.php/sse/records/posts', false],
            ['GET', '/api.php/sse/records', false],
            ['GET', '/api.php/sse/records/posts/1/2', false],
        ];
    }

    /** @dataProvider requests */
    public function testTheApiThatAnswersForAStreamHasNothingButTheStreams(string $method, string $path, bool $asks): void
    {
        $_SERVER['REQUEST_METHOD'] = $method;
        $_SERVER['REQUEST_URI'] = $path;

        $live = CrudApi::live(self::SETTINGS + ['controllers' => 'records,columns', 'cacheType' => 'Redis']);

        if ($asks) {
            self::assertSame(['', '', Controller::class, 'NoCache'], [
                $live['middlewares'],
                $live['controllers'],
                $live['customControllers'],
                $live['cacheType'],
            ]);
            self::assertArrayNotHasKey('dbAuth.mode', $live);
        } else {
            self::assertSame(['cors,dbAuth', 'records,columns'], [$live['middlewares'], $live['controllers']]);
        }
    }

    /** @return list<array{string}> */
    public static function prefixes(): array
    {
        return [[''], ['a b'], ['records.*'], ['.records'], [str_repeat('x', 21)]];
    }

    /** @dataProvider prefixes */
    public function testAPrefixThatIsNoTopicIsAnException(string $prefix): void
    {
        $this->expectException(InvalidArgumentException::class);
        CrudApi::live(self::SETTINGS, prefix: $prefix);
    }

    /** Attack: whoever may publish to a topic of the records sends an event with marks that are no marks. */
    public function testAnEventWhoseMarksAreNoTextsSaysNothingOfRows(): void
    {
        $scope = static fn (string $rule, mixed $mark): ?Scope =>
            Scope::fromArray(['database' => 'd', 'rule' => $rule, 'equal' => ['column' => $mark]]);
        $reader = $scope('own', 'value');
        self::assertNotNull($reader);

        self::assertNull($reader->includes($scope('other', ['value'])));
        self::assertFalse($reader->includes($scope('other', 'another')));
    }
}
