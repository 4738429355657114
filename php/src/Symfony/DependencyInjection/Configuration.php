<?php

declare(strict_types=1);

namespace Sse\Symfony\DependencyInjection;

use Symfony\Component\Config\Definition\Builder\ArrayNodeDefinition;
use Symfony\Component\Config\Definition\Builder\TreeBuilder;
use Symfony\Component\Config\Definition\ConfigurationInterface;

/** The bundle's settings, `config/packages/sse.yaml`. */
final class Configuration implements ConfigurationInterface
{
    public function getConfigTreeBuilder(): TreeBuilder
    {
        $builder = new TreeBuilder('sse');
        $root = $builder->getRootNode();
        assert($root instanceof ArrayNodeDefinition);
        $settings = $root->children();
        $settings->scalarNode('stream_url')
            ->info('Where the pages\' streams are, for sse_stream_source().')
            ->defaultValue('/sse/stream')
            ->cannotBeEmpty();
        $settings->enumNode('mode')
            ->values([null, 'ack', 'async', 'commit'])
            ->info('When sse_publish() sends. Null: as the setting sse.publish says.')
            ->defaultNull();
        $settings->integerNode('transaction_bytes')
            ->min(0)
            ->info('Data of events that one transaction may hold back.')
            ->defaultValue(1_048_576);

        return $builder;
    }
}
