<?php

declare(strict_types=1);

namespace Sse;

use LogicException;
use Sse\CrudApi\Bridge;
use Sse\CrudApi\Controller;
use Sse\Publisher\ExtensionPublisher;

/**
 * Makes a PHP-CRUD-API live, by two lines in its configuration: the autoloader, and this around its settings.
 *
 * ```php
 * require __DIR__ . '/../vendor/autoload.php';
 *
 * $config = new Config(\Sse\CrudApi::live([
 *     'database' => 'shop',
 *     'middlewares' => 'cors,dbAuth,authorization',
 *     ...
 * ]));
 * ```
 *
 * From then on every record that the API creates, updates, deletes or increments is published, when the database has
 * it, to `records.TABLE.ID`; and beside `GET /records/TABLE[/ID]` there is `GET /sse/records/TABLE[/ID]`, a stream of
 * the changes, in which each client gets what that API lets this client read. See README.md.
 */
final class CrudApi
{
    private static ?Bridge $bridge = null;

    /**
     * @param array<string, mixed> $settings    Those of PHP-CRUD-API's Config.
     * @param bool                 $record      Whether what is published has the record, as the client that wrote it
     *                                          may read it. The streams beside the API don't need it: they read for
     *                                          themselves.
     * @param string               $prefix      What topics begin with, 1 to 20 bytes: for two APIs in one hub.
     * @param int                  $reauthorize Seconds after which a stream without events asks the API again whether
     *                                          its client may have it; 0: only at events.
     * @param bool                 $handlersHideRows Whether `customization.afterHandler` and the handlers of
     *                                          `reconnect`, where the settings have any, may keep rows from a client.
     *                                          A stream can't know then whether its client knew of a row that is gone,
     *                                          and says `reset`. False, if they don't.
     * @param PublisherInterface|null $publisher What publishes the changes. Null: the extension.
     *
     * @return array<string, mixed> Settings for Config.
     */
    public static function live(
        array $settings,
        bool $record = false,
        string $prefix = 'records',
        int $reauthorize = 60,
        bool $handlersHideRows = true,
        ?PublisherInterface $publisher = null,
    ): array {
        $publisher ??= new ExtensionPublisher();
        self::$bridge = new Bridge($settings, $record, $prefix, $reauthorize, $handlersHideRows, $publisher);

        return self::$bridge->settings();
    }

    /** @internal What live() was called with, for the controllers that PHP-CRUD-API makes by their name alone. */
    public static function bridge(): Bridge
    {
        return self::$bridge ?? throw new LogicException(
            Controller::class . ' needs Sse\CrudApi::live() around the settings of PHP-CRUD-API',
        );
    }
}
