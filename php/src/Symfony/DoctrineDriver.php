<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Doctrine\DBAL\Driver;
use Doctrine\DBAL\Driver\Connection;
use Doctrine\DBAL\Driver\Middleware\AbstractDriverMiddleware;
use Sse\Publisher\TransactionPublisher;

/** @internal Makes connections that tell the publisher of their transactions. */
final class DoctrineDriver extends AbstractDriverMiddleware
{
    public function __construct(Driver $driver, private readonly TransactionPublisher $publisher)
    {
        parent::__construct($driver);
    }

    // The parameters are described by the parent.
    public function connect(array $params): Connection
    {
        return new DoctrineConnection(parent::connect($params), $this->publisher);
    }
}
