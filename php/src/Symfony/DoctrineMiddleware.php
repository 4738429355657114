<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Doctrine\DBAL\Driver;
use Doctrine\DBAL\Driver\Middleware;
use Sse\Publisher\TransactionPublisher;

/**
 * Sends what is published in a transaction of Doctrine DBAL after its commit, and drops it after a rollback, so that who
 * gets the event finds the row. The ORM's flush() is such a transaction. DoctrineBundle takes it by its tag; elsewhere:
 *
 * ```php
 * $configuration->setMiddlewares([new DoctrineMiddleware($publisher)]);
 * ```
 */
final class DoctrineMiddleware implements Middleware
{
    public function __construct(private readonly TransactionPublisher $publisher)
    {
    }

    public function wrap(Driver $driver): Driver
    {
        return new DoctrineDriver($driver, $this->publisher);
    }
}
