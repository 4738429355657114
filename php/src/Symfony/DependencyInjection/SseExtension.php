<?php

declare(strict_types=1);

namespace Sse\Symfony\DependencyInjection;

use Doctrine\DBAL\Driver\Middleware;
use Sse\Console\Program;
use Sse\Console\PublishCommand as PublishToHub;
use Sse\Publisher\ExtensionPublisher;
use Sse\Publisher\LoggingPublisher;
use Sse\Publisher\TraceablePublisher;
use Sse\Publisher\TransactionPublisher;
use Sse\PublisherInterface;
use Sse\Symfony\ConsoleCommand;
use Sse\Symfony\DoctrineMiddleware;
use Sse\Symfony\PublishCommand;
use Sse\Symfony\PublishMiddleware;
use Sse\Symfony\SseDataCollector;
use Sse\Symfony\TwigExtension;
use Symfony\Bundle\FrameworkBundle\DataCollector\AbstractDataCollector;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Definition;
use Symfony\Component\DependencyInjection\Extension\Extension;
use Symfony\Component\DependencyInjection\Reference;
use Symfony\Component\Messenger\Middleware\MiddlewareInterface;
use Twig\Extension\AbstractExtension;

/**
 * The bundle's services. `Sse\PublisherInterface` is the one to ask for: it holds back what is published in a
 * transaction, and in debug mode the profiler shows it. Services for packages that are not there are left out.
 */
final class SseExtension extends Extension
{
    /** @param array<array-key, mixed> $configs */
    public function load(array $configs, ContainerBuilder $container): void
    {
        /** @var array{stream_url: string, mode: ?string, transaction_bytes: int} $config */
        $config = $this->processConfiguration(new Configuration(), $configs);
        $extension = new Reference(ExtensionPublisher::class);
        $this->add($container, ExtensionPublisher::class, [$config['mode']]);
        $this->add($container, LoggingPublisher::class, [$extension, new Reference('logger')])
            ->addTag('monolog.logger', ['channel' => 'sse']);
        $this->add($container, TransactionPublisher::class, [
            $extension,
            new Reference(LoggingPublisher::class),
            $config['transaction_bytes'],
        ])->addTag('kernel.reset', ['method' => 'reset']);
        $container->setAlias(PublisherInterface::class, TransactionPublisher::class)->setPublic(true);

        $transaction = new Reference(TransactionPublisher::class);
        $publisher = new Reference(PublisherInterface::class);
        if (interface_exists(MiddlewareInterface::class)) {
            $this->add($container, PublishMiddleware::class, [$transaction]);
        }
        if (interface_exists(Middleware::class)) {
            $this->add($container, DoctrineMiddleware::class, [$transaction])->addTag('doctrine.middleware');
        }
        if (class_exists(AbstractExtension::class)) {
            $this->add($container, TwigExtension::class, [$config['stream_url']])->addTag('twig.extension');
        }
        if (class_exists(Command::class)) {
            $this->add($container, PublishCommand::class, [$publisher])->addTag('console.command');
            foreach (Program::commands() as $command) {
                if (!$command instanceof PublishToHub) {
                    $container->register($command::class, ConsoleCommand::class)
                        ->setArguments([new Definition($command::class)])
                        ->addTag('console.command', ['command' => "sse:{$command->definition()->name}"]);
                }
            }
        }
        if ($container->getParameter('kernel.debug') === true && class_exists(AbstractDataCollector::class)) {
            $this->profile($container);
        }
    }

    private function profile(ContainerBuilder $container): void
    {
        $this->add($container, TraceablePublisher::class, [new Reference(TransactionPublisher::class)])
            ->addTag('kernel.reset', ['method' => 'reset']);
        $container->setAlias(PublisherInterface::class, TraceablePublisher::class)->setPublic(true);
        $this->add($container, SseDataCollector::class, [new Reference(TraceablePublisher::class)])
            ->addTag('data_collector', ['id' => SseDataCollector::class, 'template' => SseDataCollector::getTemplate()]);
    }

    /**
     * @param class-string $class
     * @param list<mixed>  $arguments
     */
    private function add(ContainerBuilder $container, string $class, array $arguments): Definition
    {
        return $container->register($class, $class)->setArguments($arguments);
    }
}
